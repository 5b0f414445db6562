"""Checks what a sweep tries before anything is created."""

import functools
import re
from collections.abc import Callable

from configs._space import Axis, Range
from configs.default import FIELDS
from experiments.errors import BadInput
from experiments.sweeps import plan
from experiments.sweeps.plan import Sweep
from experiments.sweeps.trainer import Trainer


def names(axes: dict[str, Axis], overrides: tuple[str, ...], trainer: Trainer) -> None:
    """Checks of each axis that it is a field that matters, and that the command line leaves alone. Raises:
    BadInput."""
    trainer.check_names(axes)
    given = {re.match(r"--?(?:no)?config\.([^=]+)", word)[1] for word in overrides}
    for name, axis in axes.items():
        field = FIELDS.get(name)  # None: of an open group
        if isinstance(axis, Range) and not axis.whole and field and type(field.usual) is not float:
            raise BadInput(
                f"get_sweep()[{name!r}]: config.{name} is no fraction; take int_uniform, choice or grid."
            )
        if name in given:
            raise BadInput(f"--config.{name}: get_sweep() tries values of that field; leave one of them out.")
        if field and field.inert:
            raise BadInput(f"get_sweep()[{name!r}]: config.{name} changes no result; leave it out.")


def values(sweep: Sweep) -> None:
    """Checks the values of each axis beside the first values of the others. Raises: BadInput."""
    first = {name: plan.edges(axis)[0] for name, axis in sweep.axes.items()}
    trainer = sweep.trainer
    experiment = _checked(sweep, first, trainer.build)
    trainer.check_cache(experiment.config)
    for name, axis in sweep.axes.items():
        tried = plan.edges(axis)
        numbers = [value for value in tried if not isinstance(value, str)]
        for value in tried[1:]:
            if name in sweep.traced:
                check = functools.partial(trainer.vary, experiment)
            elif isinstance(value, str) or value in (min(numbers), max(numbers)):
                check = trainer.build
            else:
                check = trainer.complete  # between numbers that fit
            _checked(sweep, {**first, name: value}, check, name)


def _checked(sweep: Sweep, values: plan.Values, check: Callable, name: str = ""):
    """Returns check(the config of these values), and names the axis in the sentence where it complains."""
    try:
        found = check(sweep.config_of(values))
        if check == sweep.trainer.build and found.learner.metric != sweep.metric:
            raise BadInput(
                f"config.task.name={values[name]!r}: is measured by its {found.learner.metric}; it must be "
                f"by its {sweep.metric}, as {sweep.base['task']['name']!r} is, to be compared."
            )
    except BadInput as error:
        at = f"get_sweep()[{name!r}]" if name else "get_sweep(), first values"
        raise BadInput(f"{at}: {error}") from error
    return found
