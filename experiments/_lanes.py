"""The states of members on the devices: a lane for each, and the programs that run them all."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from experiments._build import Experiment
from experiments._session import placed_arrays
from r3nn import training

_updates = jax.jit(training.member_updates, static_argnums=(0, 4, 5, 6), donate_argnums=2)
_evaluate = jax.jit(training.member_evaluate, static_argnums=(0, 4, 5, 6, 7))
#: Compiled programs of one architecture: a sweep comes back to it with other members.
_compiled: dict[Any, Callable] = {}
_pick = jax.jit(lambda tree, index: jax.tree.map(lambda leaf: leaf[index], tree))


class Lanes:
    """Members, by number, each on one of the devices of this host.

    Every device has as many lanes; those that are left over repeat a member and are never active.
    """

    def __init__(self, members: dict[int, tuple[Experiment, training.TrainState]]):
        self.devices = min(jax.local_device_count(), len(members))
        self._share = math.ceil(len(members) / self.devices)  # lanes of each device
        self._first, state = next(iter(members.values()))
        spares = {
            -1 - lane: (self._first, state) for lane in range(self._share * self.devices - len(members))
        }
        members = members | spares
        self._order = list(members)  # lane -> member; below 0: a spare
        self._hparams_of = {number: experiment.hparams for number, (experiment, _) in members.items()}
        self._sharding = training.member_sharding(self.devices)
        self._at_once = jax.default_backend() != "cpu"
        self.states = self._put([state for _, state in members.values()])
        self._hparams = self._put(list(self._hparams_of.values()))
        everywhere = jax.sharding.NamedSharding(self._sharding.mesh, jax.sharding.PartitionSpec())
        self._arrays = placed_arrays(self._first, everywhere)

    def compile(self, count: int) -> None:
        """The programs of `count` updates, and of an evaluation."""
        self._program(count)
        self._evaluator("held_out")

    def advance(self, members: Sequence[int], count: int) -> dict[str, jax.Array]:
        """`count` updates of these members alone -> metrics [lanes, count], perhaps not computed yet."""
        self._balance(members)
        program = self._program(count)
        self.states, metrics = program(self._hparams, self.states, self._active(members), self._arrays)
        return metrics

    def measure(
        self,
        members: Sequence[int],
        split: training.Split,
        states: dict[int, training.TrainState] | None = None,
    ) -> dict[int, dict[str, float]]:
        """By member, the learner's metrics of each of these on the rows of a split.

        states: by member, in place of those in the lanes.
        """
        measured = self.states.params, self.states.carry.shared
        if states is not None:
            some = states[members[0]]
            whole = [states.get(member, some) for member in self._order]
            measured = self._put([(state.params, state.carry.shared) for state in whole])
        numbers = self._evaluator(split)(*measured, self._active(members), self._arrays)
        numbers = jax.device_get(numbers)
        return {m: {k: float(v) for k, v in self.of(m, numbers).items()} for m in members}

    def judge(self, member: int, numbers: dict[str, float]) -> None:
        """What a member shares, behind an evaluation of these numbers on held-out data."""
        learner, carry = self._first.learner, self.states.carry
        if learner.judges:
            lane, shared = self._order.index(member), learner.judged(self.of(member, carry.shared), numbers)
            put = lambda leaf, new: jax.device_put(leaf.at[lane].set(new), self._sharding)
            carry = carry._replace(shared=jax.tree.map(put, carry.shared, shared))
            self.states = self.states._replace(carry=carry)

    def of(self, member: int, tree: Any) -> Any:
        """A member's part of what has a leading axis of lanes."""
        lane = self._order.index(member)
        return jax.tree.map(lambda leaf: leaf[lane], tree)

    def state(self, member: int) -> training.TrainState:
        """A copy of a member's state, on the first device, where a run alone has it."""
        device, index = divmod(self._order.index(member), self._share)
        part = jax.tree.map(lambda leaf: _shard(leaf, device * self._share), self.states)
        return jax.device_put(_pick(part, index), jax.local_devices()[0])

    def _put(self, trees: Sequence[Any]) -> Any:
        """A tree for each lane as one, on the devices."""
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
        states = jax.tree.map(lambda leaf: np.asarray(leaf)[lanes], self.states)
        self._order, self.states = order, jax.device_put(states, self._sharding)
        self._hparams = self._put([self._hparams_of[member] for member in order])

    def _program(self, count: int) -> Callable:
        arguments = (self._hparams, self.states, self._active([]), count, self.devices, self._at_once)
        arguments = (*arguments, self._arrays)
        return self._find("updates", count, lambda: _updates.lower(self._first.spec, *arguments))

    def _evaluator(self, split: training.Split) -> Callable:
        sizes = (self._first.config.train.eval_batch, split)
        measured = (self.states.params, self.states.carry.shared, self._active([]))
        arguments = (*measured, *sizes, self.devices, self._at_once, self._arrays)
        return self._find("evaluate", sizes, lambda: _evaluate.lower(self._first.spec, *arguments))

    def _find(self, name: str, sizes: Any, lower: Callable) -> Callable:
        """A compiled program, which is kept until another architecture comes."""
        spec = self._first.spec
        if any(other != spec for other, *_ in _compiled):
            _compiled.clear()
        key = spec, name, sizes, len(self._order), self.devices, jax.config.jax_default_matmul_precision
        if key not in _compiled:
            _compiled[key] = lower().compile()
        return _compiled[key]


def _cut(order: list[int], share: int) -> list[list[int]]:
    """The members of each device."""
    return [order[first : first + share] for first in range(0, len(order), share)]


def _shard(leaf: jax.Array, first: int) -> jax.Array:
    """The part of a split array that begins with this lane, on its device."""
    return next(part.data for part in leaf.addressable_shards if (part.index[0].start or 0) == first)
