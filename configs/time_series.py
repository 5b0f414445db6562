"""Does a gated network name the speaker of a vowel: small sets of the UCR and UEA archives?

    .venv/bin/python -m pip install --no-deps aeon
    scripts/run experiments/train.py --config=configs/time_series.py --workdir=runs/vowels

JapaneseVowels: 12 channels, 7 to 29 steps, nine speakers; 216 series are trained on, 54 held out, 370 tested.

Time: 12 s of training on 2 cores that other work shared.
Result: test accuracy 0.973 with seed 0; the trivial baseline is 0.084.

    scripts/run experiments/train.py --config=configs/time_series.py:full --workdir=runs/series \
        --config.task.options.folder=archive/ECG5000 --config.task.options.dataset=ECG5000 \
        --config.train.length=140

Any set of the archives, from a folder with its .ts files. Not run here yet: neither time nor result is
measured.

    scripts/run experiments/train.py --config=configs/time_series.py:smoke --workdir=runs/series_smoke

8 units: whether all of it runs, in seconds; nothing is learned.
"""

from configs import _variants, default


def get_config(variant=""):
    """Sets JapaneseVowels, and a mean over the steps of a series."""
    _variants.check(variant, "full", "smoke")
    config = default.get_config()
    config.task.name = "time_series"
    config.task.options.dataset = "JapaneseVowels"
    config.task.options.folder = ""
    config.model.cell = "gru"
    config.model.hidden_size = 64
    config.model.predict = "mean"
    config.model.dropout = 0.1
    config.model.dropout_h = 0.3
    config.train.batch = 32
    config.train.length = 29
    config.train.updates = 600
    config.train.eval_every = 50
    config.optimizer.lr = 3e-3
    config.optimizer.clip = 1.0
    return {"full": full, "smoke": smoke}[variant](config) if variant else config


def full(config):
    """Sets a larger network."""
    config.model.hidden_size = 128
    config.train.updates = 10_000
    config.train.eval_every = 200
    return config


def smoke(config):
    """Shortens the run to a few updates of a tiny model."""
    return _variants.smoke(config, 29)
