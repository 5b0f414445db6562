"""Says which runs train side by side: configs of one program, and how many of them."""

import json

import jax
from ml_collections import ConfigDict

from configs.default import FIELDS
from experiments.building.assembly import build
from experiments.building.learners import own_names
from experiments.config.fields import complete, fields
from experiments.errors import BadInput
from experiments.run import device_count
from r3nn import training


def alike(config: ConfigDict) -> str:
    """Returns what all members of one program have in common: configs go together where this is equal."""
    traced = free(config)
    return json.dumps({k: v for k, v in fields(complete(config)) if k not in traced}, sort_keys=True)


def free(config: ConfigDict) -> tuple[str, ...]:
    """Lists the fields in which members of this config may differ: the traced ones, and the learner's
    scalars."""
    own = (f"learner.options.{name}" for name in own_names(config))
    return (*(name for name, field in FIELDS.items() if field.traced), *own)


def together(config: ConfigDict, devices: int) -> int:
    """Decides how many members of this config to train side by side on so many devices of this host; 1: `run`
    it.

    On a CPU, where the time grows with each member, it is enough of them to spread the cost of compiling, and
    to keep every core at work when some end early. Elsewhere it is as many as fill a device, as long as what
    their backward passes keep fits into a quarter of its memory.
    """
    if alone(config):
        return 1
    device_count.make_all()  # before JAX is asked for any
    memory = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    if memory is None:
        return 4 * devices
    try:
        one = build(config, allow_code=True)
    except BadInput:  # the run itself says so
        return 1
    kept = training.kept(one.spec, one.hparams, jax.eval_shape(one.start), one.arrays)
    return devices * max(1, min(16, memory // (4 * kept)))


def alone(config: ConfigDict) -> str:
    """Names the field that wants several devices for one run, with its value; "" where none does."""
    wanted = {"devices": config.devices, "train.sync_every": config.train.get("sync_every", 1)}
    return next((f"{name}={value}" for name, value in wanted.items() if value > 1), "")
