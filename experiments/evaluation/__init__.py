"""What was learned, measured: long sequences in chunks, intervals, and free-running generation."""
