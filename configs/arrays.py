"""What does a gated network make of sequences from a file of one's own?

    scripts/run experiments/train.py --config=configs/arrays.py --workdir=runs/arrays

Time: seconds on 2 cores.
Result: every one of 120 test rows right after 100 updates, with seed 0; the trivial baseline is 0.558.
Without a file these are noisy sine waves, whose label says whether their pitch rises.

    scripts/run experiments/train.py --config=configs/arrays.py --workdir=runs/mine \
        --config.task.options.file=my.npz --config.train.length=200 --config.train.batch=16

One's own: x [N, T, D] or ids [N, T], label [N] or [N, T], and perhaps length [N] and split [N]; the docstring
of `r3nn.tasks.Arrays` says all of it. train.length is at least T. Where each step has a label, model.predict
is "every". `arrays_regression`, with target in place of label, is the task of numbers.

    scripts/run experiments/train.py --config=configs/arrays.py:full --workdir=runs/arrays_full

256 units and 20,000 updates, as a start for larger files. Not run here yet: neither time nor result is
measured.

    scripts/run experiments/train.py --config=configs/arrays.py:smoke --workdir=runs/arrays_smoke

8 units: whether all of it runs, in seconds; nothing is learned.
"""

from configs import _variants, default


def get_config(variant=""):
    """Sets sequences of up to 60 steps, whose label is said at their last one."""
    _variants.check(variant, "full", "smoke")
    config = default.get_config()
    config.task.name = "arrays"
    config.task.options.file = ""
    config.model.cell = "gru"
    config.model.hidden_size = 32
    config.model.predict = "last"
    config.train.batch = 32
    config.train.length = 60
    config.train.updates = 500
    config.train.target = 0.995
    config.optimizer.lr = 3e-3
    config.optimizer.clip = 1.0
    return {"full": full, "smoke": smoke}[variant](config) if variant else config


def full(config):
    """Sets a larger network."""
    config.model.hidden_size = 256
    config.train.updates = 20_000
    config.train.eval_every = 500
    return config


def smoke(config):
    """Shortens the run to a few updates of a tiny model."""
    return _variants.smoke(config, 60)
