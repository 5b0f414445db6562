"""Holds the states of runs on the devices, and the programs that move and measure them.

An engine holds the state of each member, a run, by its number. The loop (`loop`) sees no more of it than

    devices                               how many it computes on
    arrays                                the learner's finite data, where the programs read them
    compile(count)                        makes the programs of `count` updates and of an evaluation
    advance(members, count)               `count` updates of these members alone -> a function that waits for
                                          them, for (metrics [count], whether all is finite) by member
    measure(members, split, states=None)  by member, its learner's metrics on the rows of a split;
                                          states: by member, in place of those that the engine holds
    probe(members)                        by member, what its learner's probes say, by name
    state(member), put(member, state)     one state, as a run alone has it
    copies                                whether `state` is a copy, which outlives what the members do next

`Alone` holds one run, split over devices; `SideBySide` holds many of one architecture, each on one device.
"""

import contextlib
import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.building.experiment import Experiment, start
from experiments.processes import exchange, membership
from experiments.saved.leaves import flatten
from r3nn import training

Numbers = dict[str, float]
Waiting = Callable[[], dict[int, tuple[dict[str, Any], bool]]]

_start = jax.jit(start, static_argnums=0)  # one program for all seeds
_updates = jax.jit(training.updates, static_argnums=(0, 3), donate_argnums=2)
_evaluate = jax.jit(training.evaluate, static_argnums=(0, 3, 4))
_member_updates = jax.jit(training.member_updates, static_argnums=(0, 4, 5, 6), donate_argnums=2)
_member_evaluate = jax.jit(training.member_evaluate, static_argnums=(0, 4, 5, 6, 7))
_probe = jax.jit(training.probe, static_argnums=0)
_member_probe = jax.jit(training.member_probe, static_argnums=(0, 4, 5))
_pick = jax.jit(lambda tree, index: jax.tree.map(lambda leaf: leaf[index], tree))
#: Compiled programs of members of one architecture: a sweep comes back to it with others.
_compiled: dict[Any, Callable] = {}


def begin(experiment: Experiment) -> training.TrainState:
    """Returns the state before the first update, computed on one device: the same bits on any number of
    them."""
    state = _start(experiment.spec, experiment.hparams)
    if experiment.source is not None:
        state = state._replace(params=experiment.source)
    placed = experiment.placed()
    if membership.several():
        return exchange.from_first(state, placed)
    return jax.device_put(state, jax.tree.map(lambda leaf: leaf.sharding, placed))


def placed_arrays(experiment: Experiment, sharding: jax.sharding.Sharding) -> Any:
    """Puts the learner's finite data on the devices of a sharding, whole on each."""

    def place(array):
        array = np.asarray(array, jax.dtypes.canonicalize_dtype(array.dtype))
        return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

    return jax.tree.map(place, experiment.arrays)


class Alone:
    """Trains one run, on its config's devices, which may be those of several processes. Its state is donated
    to each call of the device."""

    copies = False

    def __init__(self, members: dict[int, tuple[Experiment, training.TrainState]]):
        ((self._experiment, self._state),) = members.values()
        self.devices = self._experiment.spec.devices
        self.arrays = placed_arrays(self._experiment, self._experiment.placed().step.sharding)
        self._programs: dict[Any, Callable] = {}

    def compile(self, count: int) -> None:
        """Compiles the programs of `count` updates, and of an evaluation."""
        self._program(count)
        self._evaluator("held_out")

    def advance(self, members: Sequence[int], count: int) -> Waiting:
        """Makes `count` updates of the run."""
        self._state, metrics = self._program(count)(self._experiment.hparams, self._state, self.arrays)
        (member,) = members
        return lambda: {member: (jax.device_get(metrics), bool(self._state.ok))}

    def measure(self, members: Sequence[int], split: training.Split, states=None) -> dict[int, Numbers]:
        """Computes the learner's metrics on the rows of a split, which are the same ones for every seed."""
        (member,) = members
        state = self._state if states is None else states[member]
        numbers = self._evaluator(split)(state.params, state.carry.shared, self.arrays)
        return {member: {name: float(value) for name, value in numbers.items()}}

    def probe(self, members: Sequence[int]) -> dict[int, Numbers]:
        """Computes what the learner's probes say of the next update."""
        found = _probe(self._experiment.spec, self._experiment.hparams, self._state, self.arrays)
        return dict.fromkeys(members, _numbers(found))

    def state(self, member: int) -> training.TrainState:
        """Returns the run's state, which holds until the next `advance`."""
        return self._state

    def put(self, member: int, state: training.TrainState) -> None:
        """Puts a state on the devices; the run goes on from it."""
        self._state = jax.tree.map(lambda new, old: jax.device_put(new, old.sharding), state, self._state)

    def trace(self, count: int, folder: Path) -> None:
        """Has JAX's profiler write what `count` updates do, whose result is dropped."""
        program = jax.jit(training.updates, static_argnums=(0, 3))
        experiment = self._experiment
        updates = functools.partial(program, experiment.spec, experiment.hparams, self._state, count)
        jax.block_until_ready(updates(self.arrays))
        with jax.profiler.trace(str(folder)) if membership.first() else contextlib.nullcontext():
            jax.block_until_ready(updates(self.arrays))

    def _program(self, count: int) -> Callable:
        """Compiles (hparams, state, arrays) -> (state, metrics of each update)."""
        if count not in self._programs:
            arguments = (self._experiment.hparams, self._state, count, self.arrays)
            self._programs[count] = _updates.lower(self._experiment.spec, *arguments).compile()
        return self._programs[count]

    def _evaluator(self, split: training.Split) -> Callable:
        """Compiles (params, shared, arrays) -> metrics."""
        if split not in self._programs:
            arguments = (self._state.params, self._state.carry.shared)
            sizes = (self._experiment.config.train.eval_batch, split)
            lowered = _evaluate.lower(self._experiment.spec, *arguments, *sizes, self.arrays)
            self._programs[split] = lowered.compile()
        return self._programs[split]


class SideBySide:
    """Trains many runs of one architecture, each on one of the devices of this host.

    Every device has as many lanes; those that are left over repeat a member and are never active.
    """

    copies = True

    def __init__(self, members: dict[int, tuple[Experiment, training.TrainState]]):
        self.devices = min(jax.local_device_count(), len(members))
        self._share = math.ceil(len(members) / self.devices)  # lanes of each device
        self._first, state = next(iter(members.values()))
        missing = self._share * self.devices - len(members)
        members = members | {-1 - lane: (self._first, state) for lane in range(missing)}
        self._order = list(members)  # lane -> member; below 0: a spare
        self._hparams_of = {number: experiment.hparams for number, (experiment, _) in members.items()}
        self._sharding = training.member_sharding(self.devices)
        self._at_once = jax.default_backend() != "cpu"
        self._states = self._put([state for _, state in members.values()])
        self._hparams = self._put(list(self._hparams_of.values()))
        everywhere = jax.sharding.NamedSharding(self._sharding.mesh, jax.sharding.PartitionSpec())
        self.arrays = placed_arrays(self._first, everywhere)

    def compile(self, count: int) -> None:
        """Compiles the programs of `count` updates, and of an evaluation."""
        self._program(count)
        self._evaluator("held_out")

    def advance(self, members: Sequence[int], count: int) -> Waiting:
        """Makes `count` updates of these members."""
        self._balance(members)
        program = self._program(count)
        self._states, metrics = program(self._hparams, self._states, self._active(members), self.arrays)

        def wait():
            found = jax.device_get((metrics, self._states.ok))
            each = {member: self._of(member, found) for member in members}
            return {member: (metrics, bool(ok)) for member, (metrics, ok) in each.items()}

        return wait

    def measure(
        self,
        members: Sequence[int],
        split: training.Split,
        states: dict[int, training.TrainState] | None = None,
    ) -> dict[int, Numbers]:
        """Computes, by member, the learner's metrics on the rows of a split."""
        measured = self._states.params, self._states.carry.shared
        if states is not None:
            some = states[members[0]]
            whole = [states.get(member, some) for member in self._order]
            measured = self._put([(state.params, state.carry.shared) for state in whole])
        numbers = jax.device_get(self._evaluator(split)(*measured, self._active(members), self.arrays))
        return {m: {name: float(x) for name, x in self._of(m, numbers).items()} for m in members}

    def probe(self, members: Sequence[int]) -> dict[int, Numbers]:
        """Computes, by member, what its learner's probes say."""
        arguments = (self._hparams, self._states, self._active(members), self.devices, self._at_once)
        found = jax.device_get(_member_probe(self._first.spec, *arguments, self.arrays))
        return {member: _numbers(self._of(member, found)) for member in members}

    def state(self, member: int) -> training.TrainState:
        """Copies a member's state to the first device, where a run alone has it."""
        device, index = divmod(self._order.index(member), self._share)
        part = jax.tree.map(lambda leaf: _shard(leaf, device * self._share), self._states)
        return jax.device_put(_pick(part, index), jax.local_devices()[0])

    def put(self, member: int, state: training.TrainState) -> None:
        """Puts a member's state into its lane; the member goes on from it."""
        lane = self._order.index(member)
        put = lambda leaf, new: jax.device_put(leaf.at[lane].set(np.asarray(new)), self._sharding)
        self._states = jax.tree.map(put, self._states, state)

    def _of(self, member: int, tree: Any) -> Any:
        """Takes a member's part of what has a leading axis of lanes."""
        lane = self._order.index(member)
        return jax.tree.map(lambda leaf: leaf[lane], tree)

    def _put(self, trees: Sequence[Any]) -> Any:
        """Stacks a tree for each lane into one, on the devices."""
        whole = jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *trees)
        return jax.device_put(whole, self._sharding)

    def _active(self, members: Sequence[int]) -> jax.Array:
        active = np.array([member in members for member in self._order])
        return jax.device_put(active, self._sharding)

    def _balance(self, members: Sequence[int]) -> None:
        """Moves members to other lanes where one device has more of these than another."""
        loads = [sum(m in members for m in part) for part in _cut(self._order, self._share)]
        if max(loads) <= math.ceil(len(members) / self.devices):
            return
        rest = [member for member in self._order if member not in members]
        order = []
        for device in range(self.devices):
            mine = list(members[device :: self.devices])
            fill = self._share - len(mine)
            order += mine + rest[:fill]
            rest = rest[fill:]
        lanes = [self._order.index(member) for member in order]
        states = jax.tree.map(lambda leaf: np.asarray(leaf)[lanes], self._states)
        self._order, self._states = order, jax.device_put(states, self._sharding)
        self._hparams = self._put([self._hparams_of[member] for member in order])

    def _program(self, count: int) -> Callable:
        arguments = (self._hparams, self._states, self._active([]), count, self.devices, self._at_once)
        arguments = (*arguments, self.arrays)
        return self._find("updates", count, lambda: _member_updates.lower(self._first.spec, *arguments))

    def _evaluator(self, split: training.Split) -> Callable:
        sizes = (self._first.config.train.eval_batch, split)
        measured = (self._states.params, self._states.carry.shared, self._active([]))
        arguments = (*measured, *sizes, self.devices, self._at_once, self.arrays)
        return self._find("evaluate", sizes, lambda: _member_evaluate.lower(self._first.spec, *arguments))

    def _find(self, name: str, sizes: Any, lower: Callable) -> Callable:
        """Returns a compiled program, which is kept until another architecture comes."""
        spec = self._first.spec
        if any(other != spec for other, *_ in _compiled):
            _compiled.clear()
        key = spec, name, sizes, len(self._order), self.devices, jax.config.jax_default_matmul_precision
        if key not in _compiled:
            _compiled[key] = lower().compile()
        return _compiled[key]


def _numbers(probes: dict[str, Any]) -> Numbers:
    """Returns the scalars of trees, by path."""
    return {name: float(leaf) for name, leaf in flatten(probes).items()}


def _cut(order: list[int], share: int) -> list[list[int]]:
    """Divides the order of members into those of each device."""
    return [order[first : first + share] for first in range(0, len(order), share)]


def _shard(leaf: jax.Array, first: int) -> jax.Array:
    """Takes the part of a split array that begins with this lane, on its device."""
    return next(part.data for part in leaf.addressable_shards if (part.index[0].start or 0) == first)
