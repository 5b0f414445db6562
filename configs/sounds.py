"""Does a gated network hear which way the pitch of a sound goes, from a second of raw samples in noise?

    scripts/run experiments/train.py --config=configs/sounds.py --workdir=runs/sounds

Time: 10 minutes of training on 2 cores that much other work shared.
Result: with seed 0 all of 512 fresh sounds are right, and above 99 % of the held-out ones from update 700 on.
The trivial baseline is 1/8. No result for these data is published: they are made here.

One step has 100 samples, which go into the network as they are, so that 16,000 samples are 160 steps. With
4,096 samples, a linear softmax is right on 0.25 of the sounds from the logarithms of the mean spectrum, on
0.67 from those of the spectra of eight parts, and on 0.12 from the samples themselves:

    scripts/test -m slow -k linear -n 0 -s tests/r3nn/tasks/test_signals.py

    scripts/run experiments/train.py --config=configs/sounds.py:ugrnn --workdir=runs/sounds_ugrnn

The article's unit. Not run here yet: neither time nor result is measured.

    scripts/run experiments/train.py --config=configs/sounds.py:full --workdir=runs/sounds_full

A sample in each step: 16,000 steps. All of it is not run here yet: neither time nor result is measured. Two
updates, with an evaluation and a test on 16 sequences each, took 74 s on 2 cores that other work shared:

    scripts/run experiments/train.py --config=configs/sounds.py:full --workdir=runs/sounds_two \
        --config.train.updates=2 --config.train.log_every=1 --config.train.eval_every=2 \
        --config.train.eval_batch=16 --config.optimizer.warmup=0

    scripts/run experiments/train.py --config=configs/sounds.py:smoke --workdir=runs/sounds_smoke

8 steps with 8 units: whether all of it runs, in seconds; nothing is learned.
"""

from configs import _variants, default


def get_config(variant=""):
    """Sets 16,000 samples, 100 in each step."""
    _variants.check(variant, "full", "smoke", "ugrnn")
    config = default.get_config()
    config.task.name = "sounds"
    config.task.options.frame = 100
    config.model.cell = "gru"
    config.model.hidden_size = 64
    config.model.depth = 2
    config.model.predict = "last"
    config.train.batch = 32
    config.train.length = 160
    config.train.updates = 1500
    config.optimizer.lr = 4e-3
    config.optimizer.schedule = "cosine"
    config.optimizer.warmup = 50
    config.optimizer.end_fraction = 0.03
    return {"full": full, "smoke": smoke, "ugrnn": ugrnn}[variant](config) if variant else config


def ugrnn(config):
    """Sets the article's unit."""
    config.model.cell = "ugrnn"
    return config


def full(config):
    """Sets steps of one sample: 16,000 of them, in little memory."""
    config.task.options.frame = 1
    config.model.hidden_size = 128
    config.model.mode = "chunked"
    config.model.init.chrono = 4000.0
    config.train.batch = 32
    config.train.length = 16_000
    config.train.updates = 20_000
    return config


def smoke(config):
    """Shortens the run to a few updates of a tiny model."""
    config.model.depth = 1
    config.optimizer.warmup = 0
    return _variants.smoke(config)
