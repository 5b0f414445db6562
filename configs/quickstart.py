"""Does an R3NN of the article's own unit learn to add two numbers that stand up to 200 steps apart?

    scripts/run experiments/train.py --config=configs/quickstart.py --workdir=runs/quickstart

Time: under half a minute on 2 cores, of which 6 to 20 s are training.
Result: stops at the target after 600 to 800 updates; test mse 0.0004 to 0.0007 with seeds 0 to 4. The trivial
baseline is 0.1667: always guess 1.

The body is (3.2.1) over (3.2.2): a UGRNN, and over it two levels of another whose parameters are tied, with a
prediction (3.2.3) at each depth.
"""

from configs import default


def get_config():
    """Sets the adding problem at up to 200 steps, tested at T = 200."""
    config = default.get_config()
    config.task.name = "adding"

    config.model.cell = "ugrnn"
    config.model.depth_cell = "ugrnn"
    config.model.depth = 2
    config.model.tie = "full"
    config.model.predict_depths = True
    config.model.predict = "last"
    config.model.hidden_size = 32
    config.model.init.chrono = 200.0

    config.train.batch = 32
    config.train.length = 200
    config.train.min_length = 20  # asked at one length alone, it would answer at no other
    config.train.updates = 1500
    config.train.target = 1e-3

    config.optimizer.lr = 1e-2
    config.optimizer.schedule = "cosine"
    return config
