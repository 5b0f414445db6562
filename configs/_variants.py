"""How a config file refuses a variant that it does not have."""


def check(variant: str, *allowed: str) -> None:
    """Raises ValueError, in one sentence, unless `variant` is "" or one of `allowed`."""
    if variant not in ("", *allowed):
        raise ValueError(f"variant {variant!r} is unknown; it must be absent or one of {', '.join(allowed)}.")
