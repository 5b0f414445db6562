"""Runs of one architecture side by side in one program, against the same runs one after another."""

import contextlib
import functools
import io
import itertools
import pathlib
import statistics
import tempfile

import jax
import numpy as np
from ml_collections import ConfigDict

from configs import quickstart
from experiments.building.assembly import build, vary
from experiments.run import device_count
from experiments.run.engines import begin
from experiments.run.loop import Member
from experiments.run.training import run, run_members
from r3nn import training
from scripts.bench.contest import Built, Contender, alternate, compile_program, race
from scripts.bench.problems import devices_for
from scripts.bench.registry import Bar, Row, case

RATES = (1e-2, 5e-3)
COUNT = 5  # updates of each member in one call
UPDATES = 200  # of each of the whole runs
LARGER = {"train.batch": 64, "train.length": 100, "model.hidden_size": 128}


@case(place="cores", default=False, bars={"one after another": Bar(1.6)})
def members(setup):
    """Of the quickstart and of a larger network, 4 seeds x 2 learning rates: updates of the 8 members in one
    program, each on one of the devices, against those of 8 runs in turn, each on as many as `run` chooses.
    The last row is of whole runs in one process, from the config to the result, their programs cached."""
    for sizes in ({}, LARGER):
        configs = eight(sizes, setup)
        first = build(configs[0])
        experiments = [first, *(vary(first, config) for config in configs[1:])]
        contenders = [
            Contender("together", "", functools.partial(side_by_side, experiments, False)),
            Contender("together, vmap", "vmap", functools.partial(side_by_side, experiments, True)),
            Contender("in turn", "one after another", functools.partial(in_turn, configs)),
        ]
        yield race(title(configs[0]), contenders, [each.build() for each in contenders], setup)
    yield whole_runs(eight({"train.updates": UPDATES, "train.target": 0.0}, setup), setup)


def eight(sizes, setup) -> list[ConfigDict]:
    """Makes the configs of 4 seeds x 2 rates."""
    configs = []
    for seed, rate in itertools.product(range(4), RATES):
        config = quickstart.get_config()
        config.update_from_flattened_dict({**sizes, "seed": seed, "optimizer.lr": rate})
        wide = config.train.batch, config.train.length, config.model.hidden_size
        config.train.batch, config.train.length, config.model.hidden_size = setup.cut(*wide)
        config.train.min_length = min(config.train.min_length, config.train.length)
        if setup.limit:
            config.train.updates, config.train.eval_batch = 4, 4
        configs.append(config)
    return configs


def title(config) -> str:
    """Names the shape of a config, as "(B, T, H)"."""
    return f"({config.train.batch}, {config.train.length}, {config.model.hidden_size})"


def side_by_side(experiments, at_once: bool) -> Built:
    """Prepares `training.member_updates` on all devices."""
    devices = devices_for(len(experiments))
    place = training.member_sharding(devices)
    stack = lambda trees: jax.device_put(jax.tree.map(lambda *leaves: np.stack(leaves), *trees), place)
    hparams, states = stack([one.hparams for one in experiments]), stack([begin(one) for one in experiments])
    active = jax.device_put(np.ones(len(experiments), bool), place)
    program = jax.jit(training.member_updates, static_argnums=(0, 4, 5, 6))
    arguments = hparams, states, active
    compiled, *sizes = compile_program(program, experiments[0].spec, *arguments, COUNT, devices, at_once)
    call = lambda: jax.block_until_ready(compiled(*arguments))
    return Built(call, lambda result: (result[0].params, result[1]["loss"]), *sizes, "float32")


def in_turn(configs) -> Built:
    """Prepares `training.updates` of one after another, on the devices that `run` would take."""
    device_count.make_all()
    first = build(configs[0])
    first = first.on(device_count.choose(configs[0], first.learner.width))
    experiments = [first, *(vary(first, config) for config in configs[1:])]
    pairs = [(one.hparams, begin(one)) for one in experiments]
    program = jax.jit(training.updates, static_argnums=(0, 3))
    compiled, *sizes = compile_program(program, first.spec, *pairs[0], COUNT)
    call = lambda: [jax.block_until_ready(compiled(*pair)) for pair in pairs]

    def view(results):
        results = [(state.params, metrics["loss"]) for state, metrics in results]
        return jax.tree.map(lambda *leaves: np.stack(leaves), *results)

    return Built(call, view, *sizes, "float32")


def whole_runs(configs, setup) -> Row:
    """Measures the seconds of `run_members` against `run` in turn, with all files that they leave."""
    with tempfile.TemporaryDirectory() as folder:
        numbers = itertools.count()
        for config in configs:
            config.cache_dir = f"{folder}/cache"

        def members():
            return [Member(config, pathlib.Path(folder, str(next(numbers)))) for config in configs]

        def quietly(function):
            with contextlib.redirect_stdout(io.StringIO()):
                function()

        together = lambda: quietly(lambda: run_members(members()))
        alone = lambda: quietly(lambda: [run(one.config, one.workdir) for one in members()])
        for call in (together, alone):  # so that all is cached
            call()
        times = alternate([together, alone], setup)
    mine, theirs = (statistics.median(each) for each in times)
    figures = {"seconds together": mine, "seconds in turn": theirs, "rounds": len(times[0])}
    return Row(
        f"whole runs of {configs[0].train.updates} updates", {"one after another": theirs / mine}, figures
    )
