"""Do five loops learn what three do: the adding problem, by the network that the article calls R5NN?

    scripts/run experiments/train.py --config=configs/r5nn.py --workdir=runs/r5nn

The article names an R5NN without giving it; this is our reading. Three loops are the R3NN's of
configs/article.py: time (3.2.1), depth with one set of parameters (3.2.2), the deepest prediction fed back
into the next input. The fourth is `refine`: every cell steps twice in each time step. The fifth is `slow`:
the depth runs on a clock of its own, at every second time step.

Time: 12 to 31 s of training on 2 shared cores, after 10 to 20 s to start and compile.
Result: stops at the target after 800, 700 and 700 updates with seeds 0, 1 and 2, at a test mse of 0.0006,
0.0009 and 0.0010. The trivial baseline is 0.1667: always guess 1. The three loops alone
(configs/article.py:r3nn, T = 100) take 900 updates to 0.0007 with seed 0: five learn too, which does not say
that they learn better.

    scripts/run experiments/train.py --config=configs/r5nn.py:smoke --workdir=runs/r5nn_smoke

T = 21 with 6 units: whether all of it runs, in seconds; nothing is learned.
"""

from configs import _variants, default


def get_config(variant=""):
    """Sets T = 101, so that the last step is one of the slow clock's."""
    _variants.check(variant, "smoke")
    config = default.get_config()
    config.task.name = "adding"
    config.model.cell = "ugrnn"
    config.model.depth_cell = "ugrnn"
    config.model.depth = 3
    config.model.tie = "full"
    config.model.predict_depths = True
    config.model.feedback = "values"
    config.model.refine = 2
    config.model.slow = 2
    config.model.predict = "last"
    config.model.hidden_size = 32
    config.model.init.chrono = 100.0
    config.train.length = 101
    config.train.updates = 2000
    config.train.target = 1e-3
    config.optimizer.lr = 5e-3
    config.optimizer.schedule = "cosine"
    return {"": lambda same: same, "smoke": smoke}[variant](config)


def smoke(config):
    """Shortens the run to a few updates of a tiny model."""
    config.model.hidden_size = 6
    config.model.init.chrono = 20.0
    config.train.batch = 8
    config.train.length = 21
    config.train.updates = 40
    config.train.log_every = 20
    config.train.eval_every = 20
    config.train.eval_batch = 32
    return config
