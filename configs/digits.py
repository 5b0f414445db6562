"""placeholder"""

from configs import _variants, default


def get_config(variant=""):
    """Sets the 1,797 images of scikit-learn, pixel by pixel."""
    _variants.check(variant, "full", "permuted", "smoke", "ugrnn")
    config = default.get_config()
    config.task.name = "digits"
    config.task.options.source = "8x8"
    config.task.options.order = "pixels"
    config.model.cell = "gru"
    config.model.hidden_size = 128
    config.model.predict = "last"
    config.model.init.chrono = 64.0
    config.train.batch = 64
    config.train.length = 64
    config.train.updates = 2000
    config.train.eval_every = 100
    config.optimizer.lr = 3e-3
    config.optimizer.schedule = "cosine"
    config.optimizer.clip = 1.0
    return config
