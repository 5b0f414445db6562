"""Does the article's unit multiply permutations: the word problem of S3, which is not commutative?

    scripts/run experiments/train.py --config=configs/s3.py --workdir=runs/s3
    scripts/run experiments/evaluate.py --workdir=runs/s3 --lengths=64,128,512

Time: 4 to 13 s of training on 2 cores, after 10 s to start and compile.
Result: stops after 800, 1,300 and 800 updates with seeds 0, 1 and 2; all of the 64 products are right in 512,
511 and 512 of 512 test sequences (trivial baseline about 0). Rounding moves it: with seed 0 on one device two
runs stopped after 900 and 1,500 updates.

    scripts/run experiments/train.py --config=configs/s3.py:full --workdir=runs/s3_full
    scripts/run experiments/evaluate.py --workdir=runs/s3_full --lengths=128,256,512

Train at 128, test at 512, as published (DeltaProduct 2025, M2RNN 2026), with a GRU. Published: GRU above
99.5 %, Gated DeltaNet does not learn it. Not run here yet: neither time nor result is measured.

    scripts/run experiments/train.py --config=configs/s3.py:smoke --workdir=runs/s3_smoke

Lengths up to 8 with 8 units: whether all of it runs, in seconds; nothing is learned.
"""

from configs import _variants, default


def get_config(variant=""):
    """Sets lengths 1 to 64, and a label at every step."""
    _variants.check(variant, "full", "smoke")
    config = default.get_config()
    config.task.name = "s3"
    config.model.cell = "ugrnn"
    config.model.hidden_size = 64
    config.train.batch = 64
    config.train.min_length = 1
    config.train.length = 64
    config.train.updates = 3000
    config.train.target = 0.999
    config.optimizer.lr = 3e-3
    return {"": lambda same: same, "full": full, "smoke": smoke}[variant](config)


def full(config):
    """Sets the published lengths."""
    config.model.cell = "gru"
    config.model.hidden_size = 128
    config.train.batch = 512
    config.train.min_length = 0
    config.train.length = 128
    config.train.updates = 20_000
    config.train.target = 0.0
    config.optimizer.lr = 1e-3
    config.optimizer.schedule = "cosine"
    return config


def smoke(config):
    """Shortens the run to a few updates of a tiny model."""
    config.model.hidden_size = 8
    config.train.batch = 8
    config.train.length = 8
    config.train.updates = 40
    config.train.log_every = 20
    config.train.eval_every = 20
    config.train.eval_batch = 32
    return config
