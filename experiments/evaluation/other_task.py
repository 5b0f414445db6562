"""Tries what was learned on other sequences than those of the run: other options of its task."""

import re

import jax

from experiments.building.assembly import build
from experiments.config.command_line import overridden
from experiments.errors import BadInput
from experiments.saved.learned import Learned

ALLOWED = re.compile(r"--?config\.task\.options\.[^=.]+=")


def divided(argv: list[str]) -> tuple[list[str], list[str]]:
    """Divides a command line into (all other words, those that set options of the task).

    Raises: BadInput for a word that sets another field.
    """
    given = [word for word in argv[1:] if re.match(r"--?(no)?config\b", word)]
    wrong = next((word for word in given if not ALLOWED.match(word)), None)
    if wrong is not None:
        raise BadInput(
            f"{wrong}: of a run's config, an evaluation changes options of its task alone, as in "
            "--config.task.options.words=random."
        )
    return [word for word in argv if word not in given], given


def retasked(learned: Learned, given: list[str], allow_code: bool) -> Learned:
    """Returns what was learned with options of its task set, as by --config.task.options.labels=every.

    A model that predicts at the last step predicts at every step then: what counts may be other steps.
    Raises: BadInput, also where the task then needs other parameters.
    """
    if not given:
        return learned
    config = overridden(learned.experiment.config, given)
    if config.model.predict == "last":
        config.model.predict = "every"
    experiment = build(config, allow_code=allow_code)
    key = jax.random.key(0)
    shapes = (jax.eval_shape(each.learner.init, key) for each in (learned.experiment, experiment))
    before, now = ([(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(tree)] for tree in shapes)
    if before != now:
        raise BadInput(f"{given[-1]}: the task then has other inputs or outputs than the run was trained on.")
    return learned._replace(experiment=experiment)
