"""What configs share: the refusal of a variant that a file does not have, and the smoke test."""


def check(variant: str, *allowed: str) -> None:
    """Raises ValueError, in one sentence, unless `variant` is "" or one of `allowed`."""
    if variant not in ("", *allowed):
        raise ValueError(f"variant {variant!r} is unknown; it must be absent or one of {', '.join(allowed)}.")


def smoke(config, length: int = 8):
    """Shortens a run to a few updates of a tiny model, on sequences of `length` steps."""
    config.model.hidden_size = 8
    config.curriculum.lengths = ""
    config.train.batch = 8
    config.train.length = length
    config.train.updates = 40
    config.train.log_every = 20
    config.train.eval_every = 20
    config.train.eval_batch = 32
    return config
