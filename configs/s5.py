"""Does one layer multiply all 120 permutations of five points?

    scripts/run experiments/train.py --config=configs/s5.py --workdir=runs/s5
    scripts/run experiments/evaluate.py --workdir=runs/s5 --lengths=32,256,2000 --sequences=256 \
        --config.task.options.words=random

Time: 10 minutes of training on 2 cores that other work shared.
Result: all of 256 random sequences are right at 32, 256 and 2,000 steps, and of 128 of 10,000 steps all but
one; none of 2,000 words u v v v ... fails to 1,000 steps.

Training has four stages: random words of up to 10, 18 and 32 steps, each until the share of right products
passes 0.97, then mixed words at a learning rate that falls from 3e-3 to 9e-5, with noise of 0.1 on the state.
Published: PD-SSM 100 for 4 and 8 generators, 1.07 for 32 (Terzic et al. 2025); for all 120 elements no linear
network keeps a sequence beyond 30 steps (Grazzi et al. 2025).

    scripts/run experiments/train.py --config=configs/s5.py:ugrnn --workdir=runs/s5_ugrnn

The article's unit in the same stages. Not run here yet: neither time nor result is measured.

    scripts/run experiments/train.py --config=configs/s5.py:full --workdir=runs/s5_full
    scripts/run experiments/evaluate.py --workdir=runs/s5_full --lengths=40,256

The published row (S5, 32): words of 32 generators up to 40 steps, the label at the last step alone, test at
40 to 256. Not run here yet: neither time nor result is measured.

    scripts/run experiments/train.py --config=configs/s5.py:smoke --workdir=runs/s5_smoke

Lengths up to 8 with 8 units: whether all of it runs, in seconds; nothing is learned.
"""

from configs import _variants, default


def get_config(variant=""):
    """Sets lengths 1 to 32, and a label at every step."""
    _variants.check(variant, "full", "smoke", "ugrnn")
    config = default.get_config()
    config.task.name = "s5"
    config.task.options.words = "mixed"
    config.model.cell = "mrnn"
    config.model.hidden_size = 256
    config.model.state_noise = 0.1
    config.curriculum.lengths = "10,18"
    config.curriculum.words = "random"
    config.curriculum.end_fraction = 0.03
    config.train.batch = 128
    config.train.min_length = 1
    config.train.length = 32
    config.train.updates = 4000
    config.optimizer.lr = 3e-3
    return {"full": full, "smoke": _variants.smoke, "ugrnn": ugrnn}[variant](config) if variant else config


def ugrnn(config):
    """Sets the article's unit."""
    config.model.cell = "ugrnn"
    return config


def full(config):
    """Sets the published protocol for 32 generators."""
    config.task.options.generators = 32
    config.task.options.words = "random"
    config.curriculum.lengths = ""
    config.curriculum.words = ""
    config.curriculum.end_fraction = 1.0
    config.model.state_noise = 0.0
    config.task.options.labels = "last"
    config.model.predict = "last"
    config.train.batch = 256
    config.train.length = 40
    config.train.updates = 20_000
    config.train.log_every = 100
    config.train.eval_every = 500
    config.train.checkpoint_every = 2000
    return config
