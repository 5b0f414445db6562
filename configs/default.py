"""Every field there is, once: its default, what it means, what it may be, and what depends on it.

    scripts/run experiments/train.py --help

prints them. Conventions: 0 switches a number off, "" leaves a name out. `task.options`, `learner.options` and
`model.init` are open groups: they take any option that the task, the learner, or the cell's `init`, knows.
The fields of `model` are the options of `r3nn.model.build`, by the same names.
"""

from ml_collections import ConfigDict

from configs._fields import Field, count, nested, rate

FIELDS = {
    # Of parameters and training data; held-out data are the same for every seed.
    "seed": count(0, "of parameters and training data, not of held-out data", high=2**32 - 1, traced=True),
    # What is learned.
    "task.name": Field("adding", 'a name in r3nn.TASKS, or "file.py:value"'),
    "task.options": Field({}, "fields of that task, e.g. --config.task.options.labels=every"),
    # What learns it.
    "model.cell": Field("ugrnn", 'f of (3.2.1): a name in r3nn.CELLS, "heads(gru, 4)", "file.py:value"'),
    "model.hidden_size": count(64, "H", 1),
    "model.params": count(0, "above 0: the hidden size that comes nearest to so many parameters", high=2**40),
    "model.depth": count(1, "L, levels of the recursion over depth", 1),
    "model.depth_cell": Field("", 'g of (3.2.2) over f; "": depth is L levels of `cell`'),
    "model.tie": Field("none", 'parameters over depth: none | all | full | the length of a cycle, as "3"'),
    "model.order": Field("auto", "over depth and time: auto | stepwise | layerwise | wavefront, one result"),
    "model.residual": Field(False, "h^{l-1} added to the output of each level of the depth"),
    "model.norm": Field("", 'of each level\'s input: "" | rms | layer'),
    "model.delay": Field(False, "each level reads the previous time step of the one below"),
    "model.predict_depths": Field(False, "(3.2.3) at every depth, with the losses of all depths"),
    "model.refine": count(0, "steps of every cell in each time step; 0: one"),
    "model.slow": count(0, "above 0: the depth steps every so many time steps alone"),
    "model.layer_norm": Field(False, "inside the recurrence of every cell"),
    "model.dropout": rate(0.0, "of every cell's input, one mask for a sequence (variational dropout)"),
    "model.dropout_h": rate(0.0, "of the h that recurrent products read, one mask for a sequence"),
    "model.dropout_candidate": rate(0.0, "of what a gated cell would write, anew each step"),
    "model.zoneout_h": rate(0.0, "chance of a unit to keep its h, anew each step"),
    "model.zoneout_c": rate(0.0, "the same of its c, where the cell has one"),
    "model.state_noise": Field(
        0.0, "sigma of Gaussian noise on every cell's state, anew each step, in training", 0
    ),
    "model.feedback": Field("", 'y_{t-1} joins the input as: "" (does not) | values | probabilities'),
    # counted: as every, but in training and its evaluations at those steps alone that the loss counts.
    "model.predict": Field("every", "predictions at: every | counted | last (step) | mean (over all steps)"),
    "model.encoder": Field("auto", "of inputs: auto | none | linear (features) | one_hot | embedding (ids)"),
    "model.width": count(0, "of a linear or embedding encoder; 0: the hidden size"),
    "model.mode": Field("auto", "over time: auto | plain | scan | chunked | linear | newton, one result"),
    "model.chunk": count(0, "steps that the backward pass takes at once, where it has blocks; 0: chosen"),
    "model.memory": count(0, "instead: bytes that both passes may take, about; 0: no budget", high=2**63),
    # States and sums stay float32.
    "model.compute_dtype": Field("", 'of the cells\' products: "" (float32) | bfloat16', of=("", "bfloat16")),
    # Of gated cells: chrono (the longest time constant, in steps, of chrono initialisation; 0: none),
    # learn_initial (the state before the first step is learned), bias (false: none).
    "model.init": Field({}, "options of the cells' `init`, e.g. --config.model.init.chrono=100"),
    # What is made of task and model, or of data and a loss of one's own.
    "learner.name": Field("supervised", 'the model on the task | "my.py:make", make(config) -> a Learner'),
    # Those that the learner's `own` names are traced numbers, which a sweep varies in one program.
    "learner.options": Field(
        {}, "of supervised: depth_weight=1.0, of each shallower depth's loss; deepest: 1"
    ),
    # How long, on how much, looked at how often.
    "train.batch": count(32, "sequences per update", 1),
    "train.length": count(100, "T, their steps; evaluations have this length too", 1, 2**30),
    "train.min_length": count(0, "above 0: each sequence's length is drawn from min_length .. length"),
    # Under tbptt each piece draws its sequences anew, whole: memory for all steps of the data (not of the
    # network), time for T/tbptt times as many. A piece of which no step counts in the loss moves the state
    # on, but neither the parameters nor the optimizer and its schedule.
    "train.tbptt": count(0, "above 0: steps of an update; longer sequences go piece by piece, state carried"),
    "train.teacher_forcing": Field(False, "under feedback, in training: the true y_{t-1}"),
    "train.updates": count(1000, "at most", 1),
    "train.log_every": count(50, "updates in one call of the device: between two lines of metrics.jsonl", 1),
    "train.eval_every": count(100, "updates between two evaluations on held-out data", 1),
    "train.eval_batch": count(512, "held-out sequences, and as many others for the final test", 1),
    "train.checkpoint_every": count(500, "updates; the best and the last state are saved in any case", 1),
    "train.target": Field(0.0, "stop early at this held-out value of the metric", traced=True),
    "train.patience": count(0, "above 0: stop after so many evaluations without a better metric"),
    # Spaced in the logarithm of the updates.
    "train.keep": count(0, "above 0: about so many checkpoints stay, the older the sparser", inert=True),
    "train.init_from": Field("", "WORKDIR of another run, with whose best parameters this one starts"),
    "train.accumulate": count(1, "parts that each device takes its share of the batch in, to save memory", 1),
    # Above 1: each device makes so many updates of its own on its share of the batch, then their parameters
    # are averaged (local SGD); the optimizers' states stay each device's own, and the number of devices
    # belongs to the result. It must divide updates, log_every, eval_every, checkpoint_every, profile.
    "train.sync_every": count(1, "updates between two averages; 1: one update of all devices together", 1),
    "train.outer_lr": Field(1.0, "of the step to the average; 1 and no momentum: onto it", 0),
    # DiLoCo's outer optimizer.
    "train.outer_momentum": rate(0.0, "above 0: Nesterov's momentum of such steps"),
    # Stages of training: short sequences before long ones, other words before those of the task. A stage ends
    # when the share of right steps, over about the last ten updates, is a success; the last one, of
    # train.length and task.options, lasts until the end.
    "curriculum.lengths": Field("", 'longest lengths of the stages before, as "8,14,24"'),
    "curriculum.words": Field("", "task.options.words of all stages but the last"),
    "curriculum.success": Field(0.97, "share of right steps that ends a stage", 0, 0.9999),
    "curriculum.end_fraction": Field(1.0, "of the rate, to which it falls along the last stage", 0, 1),
    # How the parameters move. my.py:make is one of your own: make(rate, hparams) -> an optax transformation;
    # rate: update -> its rate.
    "optimizer.name": Field("adam", "adam adamw amsgrad lamb lion nadam rmsprop sgd | my.py:make"),
    "optimizer.lr": Field(3e-3, "at the schedule's peak", 0, traced=True),
    "optimizer.schedule": Field("constant", "constant | cosine | linear"),
    "optimizer.warmup": count(0, "updates over which the rate rises to its peak"),
    "optimizer.end_fraction": Field(0.0, "of the peak, at the end of a schedule that falls", 0, 1),
    "optimizer.weight_decay": Field(0.0, "adamw, lamb and lion only", 0, traced=True),
    "optimizer.clip": Field(1.0, "global norm that gradients are scaled down to", 0, traced=True),
    "optimizer.b1": rate(0.9, "first decay rate; the momentum of sgd and rmsprop", traced=True),
    "optimizer.b2": rate(0.999, "second decay rate", traced=True),
    # Where, and how exactly. 0 devices are all GPUs, or a CPU core for each 512 of batch x hidden_size; GPUs
    # and TPUs round products in the lower precisions.
    "devices": count(0, "that share the batch; 0: as many as pay", traced=True, inert=True),
    "precision": Field("highest", "of products", of=("highest", "high", "default")),
    "profile": count(0, "updates to trace, to WORKDIR/profile", high=1000, traced=True, inert=True),
    # auto: r3nn in the user's cache folder.
    "cache_dir": Field("auto", 'of compiled programs: auto | a path | "" (none)', inert=True),
}


def get_config() -> ConfigDict:
    """Makes the config of a small adding problem, solved by one level of the article's unit."""
    return ConfigDict(nested({name: field.usual for name, field in FIELDS.items()}))
