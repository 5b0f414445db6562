"""Does what Optuna's public interface does not: gives a study's storage, and finds trials by their id in it.

A study of Optuna's asks and tells in one process. Here a trial must say whose it is from the moment at which
it exists, any process may end it, and each shows signs of life; all of that only the storage can do.
"""

from collections.abc import Iterable

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, Trial, TrialState

from experiments.sweeps.study import patiently

LOST = "lost"  # attribute of a failed trial: why it is to be tried again, unless it was asked to stop


def identity(trial: Trial | FrozenTrial) -> int:
    """Returns a trial's id, by which the storage knows it."""
    return trial._trial_id


def create(study: optuna.Study, template: FrozenTrial) -> int:
    """Makes a new trial, which begins as the template is -> its id; `Study.ask` makes an empty one."""
    return patiently(lambda: study._storage.create_new_trial(study._study_id, template))


def give_back(study: optuna.Study, trial_id: int, reason: str | None) -> bool:
    """Ends a trial so that its slot is taken up again -> whether it was running.

    reason: why its worker died; None where it was only asked to stop.
    """
    storage = study._storage
    try:
        if reason is not None:
            patiently(lambda: storage.set_trial_user_attr(trial_id, LOST, reason))
        return patiently(lambda: storage.set_trial_state_values(trial_id, TrialState.FAIL))
    except UpdateFinishedTrialError:
        return False


def beat(study: optuna.Study, trials: Iterable[int]) -> None:
    """Records a sign of life for each of these trials."""
    for trial in trials:
        patiently(lambda trial=trial: study._storage.record_heartbeat(trial))


def silent(study: optuna.Study) -> list[FrozenTrial]:
    """Lists the trials that are running and seem dead.

    They have shown no sign of life for as long as the storage waits for one.
    """
    storage = study._storage
    ids = patiently(lambda: storage._get_stale_trial_ids(study._study_id))
    return [patiently(lambda trial=trial: storage.get_trial(trial)) for trial in ids]
