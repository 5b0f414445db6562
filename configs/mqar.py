"""Does a network with a matrix for a state recall the values of four keys, and one with a vector?

    scripts/run experiments/train.py --config=configs/mqar.py --workdir=runs/mqar
    scripts/run experiments/evaluate.py --workdir=runs/mqar --lengths=64,128,256 --sequences=512

Time: 3 minutes of training on 2 cores that other work shared.
Result: accuracy 0.997 on the final test when training stops, after 700 updates; of 512 sequences of each
length 0.9995 at 64 steps, 0.999 at 128, 0.9985 at 256 (trivial baseline 0.031).

A GRU below joins a key and its value, and DeltaNet above it has a matrix to store them in. Training has two
stages, by length; the first, in which nothing stands between pairs and queries, ends on success. Published
(Arora et al. 2023), of 8,192 symbols: attention is right at every size, gated convolutions need a width that
grows with the length.

    scripts/run experiments/train.py --config=configs/mqar.py --workdir=runs/mqar_256 \
        --config.task.options.symbols=256

Four times as many symbols: stopped after 1,750 updates in 5 minutes at an accuracy of 0.275, one of the four
values picked. As many as published are learned all the same:

    scripts/run experiments/train.py --config=configs/mqar.py --workdir=runs/mqar_8192 \
        --config.task.options.symbols=8192 --config.train.updates=2000

8,192 symbols, with seed 0: test accuracy 0.9951 after 2,000 updates, in 7 min 24 s of training on 2 cores
that other work shared.

    scripts/run experiments/train.py --config=configs/mqar.py --workdir=runs/mqar_16 \
        --config.task.options.symbols=8192 --config.task.options.pairs=16 --config.train.length=256 \
        --config.curriculum.lengths=64 --config.train.updates=2000

16 pairs in 256 steps: with seed 0, test accuracy 0.651, still rising, in 19 minutes of training on 2 cores
that other work shared.

    scripts/run experiments/train.py --config=configs/mqar.py:vector --workdir=runs/mqar_vector

Two levels of a GRU, without a matrix. After 3,000 updates, in 49 s: accuracy 0.277, one of the four values
picked.

    scripts/run experiments/train.py --config=configs/mqar.py:full --workdir=runs/mqar_full

The same for longer (Arora et al. 2023). Not run here yet: neither time nor result is measured.

    scripts/run experiments/train.py --config=configs/mqar.py:smoke --workdir=runs/mqar_smoke

One pair in 8 steps with 8 units: whether all of it runs, in seconds; nothing is learned.
"""

from configs import _variants, default


def get_config(variant=""):
    """Sets four pairs of 64 symbols in 16 steps, then in 64, and a GRU below a matrix state."""
    _variants.check(variant, "full", "smoke", "vector")
    config = default.get_config()
    config.task.name = "mqar"
    config.task.options.symbols = 64
    config.model.cell = "gru"
    config.model.depth = 2
    config.model.depth_cell = "deltanet"
    config.model.hidden_size = 64
    config.model.encoder = "embedding"
    config.model.predict = "counted"
    config.curriculum.lengths = "16"
    config.curriculum.end_fraction = 0.1
    config.train.batch = 64
    config.train.length = 64
    config.train.updates = 3000
    config.train.target = 0.998
    config.optimizer.lr = 3e-3
    return {"full": full, "smoke": smoke, "vector": vector}[variant](config) if variant else config


def vector(config):
    """Sets a state without a matrix: two levels of a GRU."""
    config.model.depth_cell = ""
    return config


def full(config):
    """Sets the second of the published sizes that a matrix state should reach."""
    config.task.options.pairs = 16
    config.task.options.symbols = 8192
    config.curriculum.lengths = "64"
    config.train.length = 256
    config.train.updates = 20_000
    config.train.log_every = 100
    config.train.eval_every = 500
    return config


def smoke(config):
    """Shortens the run to a few updates of a tiny model."""
    config.curriculum.end_fraction = 1.0
    config.task.options.pairs = 1
    config.task.options.symbols = 16
    return _variants.smoke(config)
