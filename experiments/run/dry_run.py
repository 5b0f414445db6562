"""Measures what a run would cost, without creating anything."""

import dataclasses
import functools
import time

import jax
from ml_collections import ConfigDict

from experiments.building.assembly import build
from experiments.building.experiment import Experiment
from experiments.config.fields import complete
from experiments.program.durations import duration
from experiments.run import device_count, jax_settings
from experiments.run.engines import begin, placed_arrays
from r3nn import training
from r3nn.analysis import matmul_flops

UPDATES = 5  # that are timed
LEFT_OUT = "compiling, evaluations and checkpoints"  # of the time to train, as nothing measures them


def dry_run(config: ConfigDict) -> None:
    """Prints parameters, FLOPs, bytes and time of a run. Raises: BadInput."""
    config = complete(config)
    jax_settings.configure(config, cache=False)
    device_count.make_all()
    experiment = build(config, allow_code=True)
    experiment = experiment.on(device_count.choose(config, experiment.learner.width))
    experiment.check_memory()
    began = time.perf_counter()
    state = begin(experiment)
    arrays = placed_arrays(experiment, experiment.placed().step.sharding)
    arguments = (experiment.spec, experiment.hparams, state, _count(experiment), arrays)
    program = jax.jit(training.updates, static_argnums=(0, 3)).lower(*arguments).compile()
    compiling = time.perf_counter() - began
    print(
        _table(experiment, state, program, compiling, _seconds_per_update(experiment, state, arrays, program))
    )


def _count(experiment: Experiment) -> int:
    """Returns UPDATES, or the next multiple of the updates that come at a time."""
    every = experiment.spec.sync_every
    return -(-UPDATES // every) * every


def _seconds_per_update(experiment: Experiment, state, arrays, program) -> float:
    """Takes the least of three measurements: what else the machine does only adds."""
    times = []
    for _ in range(3):
        began = time.perf_counter()
        jax.block_until_ready(program(experiment.hparams, state, arrays))
        times.append(time.perf_counter() - began)
    return min(times) / _count(experiment)


def _table(experiment: Experiment, state, program, compiling: float, seconds: float) -> str:
    config, spec = experiment.config, experiment.spec
    # Inside shard_map stands one device's share; of local updates so many would stand there at a time.
    alone = dataclasses.replace(experiment, spec=dataclasses.replace(spec, devices=1, sync_every=1))
    one = functools.partial(training.update, alone.spec)
    flops = matmul_flops(one, experiment.hparams, jax.eval_shape(alone.start), experiment.arrays)
    memory = program.memory_analysis()
    temporary = (
        f"{memory.temp_size_in_bytes:,} (temporary on each device, as XLA reports)" if memory else "unknown"
    )
    updates = config.train.updates
    held = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    rows = {
        "devices": f"{device_count.describe(spec.devices)}, {spec.batch // spec.devices} rows on each",
        "products": f"in {config.model.compute_dtype or 'float32'}, precision {config.precision}",
        "parameters": f"{experiment.parameters:,} ({experiment.title})",
        "FLOPs per update": f"{flops:,} in matrix products ({flops / seconds / 1e9:.2f} GFLOP/s)",
        "bytes of the state": f"{held:,} (parameters, optimizer, carry)",
        "bytes of an update": temporary,
        "time to compile": duration(compiling),
        "time per update": f"{seconds * 1e3:.3g} ms",
        "time to train": f"{duration(seconds * updates)} at most ({updates} updates), without {LEFT_OUT}",
    }
    return "\n".join(f"{name:20} {value}" for name, value in rows.items()) + "\nNothing was created."
