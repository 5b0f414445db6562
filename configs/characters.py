"""placeholder"""

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
    return config
