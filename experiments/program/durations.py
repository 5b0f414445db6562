"""Writes durations for people to read."""

QUIET = 5.0  # seconds at least between two plain lines of progress


def duration(seconds: float) -> str:
    """Writes seconds in the two largest units: 42 s, 3 min 20 s, 2 h 05 min."""
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    if hours:
        return f"{hours} h {m:02d} min"
    return f"{m} min {s:02d} s" if m else f"{s} s"
