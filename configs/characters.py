"""How well does a gated network guess the next character of a text?

    scripts/run experiments/train.py --config=configs/characters.py --workdir=runs/characters
    scripts/run experiments/evaluate.py --workdir=runs/characters --generate=500

The text is the help of this Python, 0.47 MB of English: 90 percent to train on, in windows of 512 characters.

Time: 39 minutes of training on 2 cores that six other programs shared.
Result: 1.695 bits per character on the last 5 percent, at the best of ten evaluations, after update 1,000,
with seed 0; the trivial baseline, each character by how often it comes, is 4.60. From there on the network
learns the training text by heart: 1.19 bits on it, 2.02 on the held-out 5 percent after update 1,600, against
1.98 before.

    scripts/run experiments/train.py --config=configs/characters.py:ugrnn --workdir=runs/characters_ugrnn

The article's unit. Not run here yet: neither time nor result is measured.

    scripts/run experiments/train.py --config=configs/characters.py:full --workdir=runs/characters_full \
        --config.task.options.file=tinyshakespeare.txt

Three levels of 384 units on a text of one's own. Published for TinyShakespeare (Feng et al. 2024): minGRU
2.233, Mamba 2.272 bits per character. Not run here yet: neither time nor result is measured.

    scripts/run experiments/train.py --config=configs/characters.py:smoke --workdir=runs/characters_smoke

8 units: whether all of it runs, in seconds; nothing is learned.
"""

from configs import _variants, default


def get_config(variant=""):
    """Sets windows of 512 characters, taken 128 at a time."""
    _variants.check(variant, "full", "smoke", "ugrnn")
    config = default.get_config()
    config.task.name = "characters"
    config.model.cell = "gru"
    config.model.hidden_size = 256
    config.train.batch = 32
    config.train.length = 512
    config.train.tbptt = 128
    config.train.updates = 2000
    config.train.log_every = 50
    config.train.eval_every = 200
    config.optimizer.lr = 3e-3
    config.optimizer.schedule = "cosine"
    config.optimizer.clip = 1.0
    return {"full": full, "smoke": smoke, "ugrnn": ugrnn}[variant](config) if variant else config


def ugrnn(config):
    """Sets the article's unit."""
    config.model.cell = "ugrnn"
    return config


def full(config):
    """Sets three levels, and dropout."""
    config.model.cell = "gru"
    config.model.depth = 3
    config.model.hidden_size = 384
    config.model.dropout = 0.2
    config.train.batch = 64
    config.train.updates = 20_000
    config.train.eval_every = 500
    config.optimizer.lr = 1e-3
    return config


def smoke(config):
    """Shortens the run to a few updates of a tiny model."""
    config.train.tbptt = 8
    return _variants.smoke(config, 16)
