"""Every field there is, once, with what it means; the other files here override what they need.

Conventions: 0 switches a number off, "" leaves a name out. `task.options`, `learner.options` and `model.init`
are open groups: they take any option that the task, the learner, or the cell's `init`, knows.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """A small adding problem by one level of the article's unit."""
    config = ConfigDict()
    config.seed = 0  # of parameters and training data; held-out data are the same for every seed
    for add in (_task, _model, _learner, _train, _optimizer):
        add(config)
    config.devices = 0  # that share the batch; 0: all GPUs, or a CPU core for each 512 of batch x hidden_size
    config.compute_dtype = "float32"  # of the cells' products: float32 | bfloat16; states, sums stay float32
    config.precision = "highest"  # of products: highest | high | default; GPUs and TPUs round the lower ones
    config.profile = 0  # updates to trace with JAX's profiler, into WORKDIR/profile
    config.cache_dir = "auto"  # of compiled programs: auto (r3nn in the user's cache folder) | a path | ""
    return config


def _task(config: ConfigDict) -> None:
    """What is learned."""
    config.task = ConfigDict()
    config.task.name = "adding"  # a name in r3nn.TASKS, or "file.py:value"
    config.task.options = ConfigDict()  # fields of that task, e.g. --config.task.options.labels=every


def _model(config: ConfigDict) -> None:
    """What learns it."""
    config.model = ConfigDict()
    config.model.cell = "ugrnn"  # f of (3.2.1): a name in r3nn.CELLS, "heads(gru, 4)", "file.py:value"
    config.model.hidden_size = 64  # H
    config.model.params = 0  # above 0: the hidden size that comes nearest to so many parameters
    config.model.depth = 1  # L, levels of the recursion over depth
    config.model.depth_cell = ""  # g of (3.2.2) over f; "": depth is L levels of `cell`
    config.model.tie = "none"  # parameters over depth: none | all | full | the length of a cycle, as "3"
    config.model.order = "auto"  # over depth and time: auto | stepwise | layerwise | wavefront, one result
    config.model.residual = False  # h^{l-1} added to the output of each level of the depth
    config.model.norm = ""  # of each level's input: "" | rms | layer
    config.model.delay = False  # each level reads the previous time step of the one below
    config.model.predict_depths = False  # (3.2.3) at every depth, with the losses of all depths
    config.model.refine = 0  # sweeps of every cell in each time step; 0: one
    config.model.slow = 0  # above 0: the depth steps every so many time steps alone
    config.model.layer_norm = False  # inside the recurrence of every cell
    config.model.dropout = 0.0  # of every cell's input, one mask for a sequence (variational dropout)
    config.model.dropout_h = 0.0  # of the h that recurrent products read, one mask for a sequence
    config.model.dropout_candidate = 0.0  # of what a gated cell would write, anew each step
    config.model.zoneout_h = 0.0  # chance of a unit to keep its h, anew each step
    config.model.zoneout_c = 0.0  # the same of its c, where the cell has one
    config.model.feedback = ""  # y_{t-1} joins the input as: "" (does not) | values | probabilities
    config.model.teacher_forcing = False  # under feedback, in training: the true y_{t-1}
    config.model.predict = "every"  # predictions and loss at: every | last (step) | mean (over all steps)
    config.model.encoder = "auto"  # of inputs: auto | none | linear (features) | one_hot | embedding (ids)
    config.model.width = 0  # of a linear or embedding encoder; 0: the hidden size
    config.model.mode = "auto"  # over time: auto | plain | scan | chunked | linear | newton, one result
    config.model.chunk = 0  # steps per block of the backward pass; 0: chosen
    config.model.memory = 0  # bytes that forward and backward may take, about, instead; 0: no budget
    config.model.init = ConfigDict()  # options of the cells' `init`, e.g. --config.model.init.bias=false
    config.model.init.chrono = 0.0  # longest time constant, in steps, of chrono initialisation
    config.model.init.learn_initial = False  # the state before the first step is learned


def _learner(config: ConfigDict) -> None:
    """What is made of task and model, or of data and a loss of one's own."""
    config.learner = ConfigDict()
    config.learner.name = "supervised"  # the model on the task | "my.py:make", make(config) -> a Learner
    # Options of the learner: those that its `own` names are traced numbers, which a sweep varies in one
    # program. Of supervised: depth_weight = 1.0, of the loss of each shallower depth; the deepest's weighs 1.
    config.learner.options = ConfigDict()


def _train(config: ConfigDict) -> None:
    """How long, on how much, looked at how often."""
    config.train = ConfigDict()
    config.train.batch = 32  # sequences per update
    config.train.length = 100  # T, their steps; evaluations have this length too
    config.train.min_length = 0  # above 0: each sequence's length is drawn from min_length .. length
    # Under tbptt each piece draws its sequences anew, whole: memory for all steps of the data (not of the
    # network), time for T/tbptt times as many. A piece of which no step counts in the loss moves the state
    # on, but neither the parameters nor the optimizer and its schedule.
    config.train.tbptt = 0  # above 0: steps of an update; longer sequences go piece by piece, state carried
    config.train.updates = 1000  # at most
    config.train.log_every = 50  # updates in one call of the device: between two lines of metrics.jsonl
    config.train.eval_every = 100  # updates between two evaluations on held-out data
    config.train.eval_batch = 512  # held-out sequences, and as many others for the final test
    config.train.checkpoint_every = 500  # updates; the best and the last state are saved in any case
    config.train.target = 0.0  # stop early at this held-out value of the metric
    config.train.patience = 0  # above 0: stop after so many evaluations without a better one
    config.train.keep = 0  # above 0: about so many checkpoints stay, spaced in the logarithm of the updates
    config.train.init_from = ""  # WORKDIR of another run, with whose best parameters this one starts
    config.train.accumulate = 1  # parts that each device takes its share of the batch in, to save memory
    # Above 1: each device makes so many updates of its own on its share of the batch, then their parameters
    # are averaged (local SGD); the optimizers' states stay each device's own, and the number of devices
    # belongs to the result. It must divide updates, log_every, eval_every, checkpoint_every, profile.
    config.train.sync_every = 1  # updates between two averages; 1: one update of all devices together
    config.train.outer_lr = 1.0  # of the step to the average; 1 and no momentum: onto it
    config.train.outer_momentum = 0.0  # above 0: DiLoCo's outer optimizer, Nesterov's momentum of such steps


def _optimizer(config: ConfigDict) -> None:
    """How the parameters move."""
    config.optimizer = ConfigDict()
    # my.py:make is one of your own: make(rate, hparams) -> an optax transformation; rate: update -> its rate.
    config.optimizer.name = "adam"  # adam adamw amsgrad lamb lion nadam rmsprop sgd | my.py:make
    config.optimizer.lr = 3e-3  # at the schedule's peak
    config.optimizer.schedule = "constant"  # constant | cosine | linear
    config.optimizer.warmup = 0  # updates over which the rate rises to its peak
    config.optimizer.end_fraction = 0.0  # of the peak, at the end of a schedule that falls
    config.optimizer.weight_decay = 0.0  # adamw, lamb and lion only
    config.optimizer.clip = 1.0  # global norm that gradients are scaled down to
    config.optimizer.b1 = 0.9  # first decay rate; the momentum of sgd and rmsprop
    config.optimizer.b2 = 0.999  # second decay rate
