"""What all modes read and write: trees of arrays over time, their flags, chunks and precision."""
