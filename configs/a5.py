"""Does one layer multiply the 60 even permutations of five points, a group that is not solvable?

    scripts/run experiments/train.py --config=configs/a5.py --workdir=runs/a5
    scripts/run experiments/evaluate.py --workdir=runs/a5 --lengths=32,1000,100000 --sequences=16 --batch=16 \
        --config.task.options.words=random --words=worst

Time: 3 minutes of training on 2 cores that other work shared.
Result: all of 16 random sequences are right at 32, 1,000 and 100,000 steps; of 2,000 words u v v v ... (|u|,
|v| <= 2) 5 fail to 5,000 steps; the shortest failing word that is found, by a beam, has 8 tokens.

Training has two stages: random words, until the share of right products passes 0.97, then mixed words at a
learning rate that falls from 3e-3 to 9e-5.

    scripts/run experiments/train.py --config=configs/a5.py:ugrnn --workdir=runs/a5_ugrnn

The article's unit in the same two stages. Not run here yet: neither time nor result is measured.

    scripts/run experiments/train.py --config=configs/a5.py:full --workdir=runs/a5_full
    scripts/run experiments/evaluate.py --workdir=runs/a5_full --lengths=40,256

The published rows (A5, n): words of n = 6 generators up to 40 steps, the label at the last step alone, test
at 40 to 256 (Terzic et al. 2025). Published: PD-SSM 100 for n = 2 to 12, Gated DeltaProduct 92.5 for n = 6.
Their generators are not public; ours are those of r3nn/tasks/_word_problem.py. Not run here yet: neither time
nor result is measured.

    scripts/run experiments/train.py --config=configs/a5.py:smoke --workdir=runs/a5_smoke

Lengths up to 8 with 8 units: whether all of it runs, in seconds; nothing is learned.
"""

from configs import _variants, default


def get_config(variant=""):
    """Sets lengths 1 to 32, and a label at every step."""
    _variants.check(variant, "full", "smoke", "ugrnn")
    config = default.get_config()
    config.task.name = "a5"
    config.task.options.words = "mixed"
    config.model.cell = "mrnn"
    config.model.hidden_size = 128
    config.curriculum.words = "random"
    config.curriculum.end_fraction = 0.03
    config.train.batch = 128
    config.train.min_length = 1
    config.train.length = 32
    config.train.updates = 3000
    config.optimizer.lr = 3e-3
    return {"full": full, "smoke": _variants.smoke, "ugrnn": ugrnn}[variant](config) if variant else config


def ugrnn(config):
    """Sets the article's unit."""
    config.model.cell = "ugrnn"
    return config


def full(config):
    """Sets the published protocol for six generators."""
    config.task.options.generators = 6
    config.task.options.words = "random"
    config.curriculum.words = ""
    config.curriculum.end_fraction = 1.0
    config.task.options.labels = "last"
    config.model.predict = "last"
    config.train.batch = 256
    config.train.length = 40
    config.train.updates = 20_000
    config.train.log_every = 100
    config.train.eval_every = 500
    config.train.checkpoint_every = 2000
    return config
