"""Does a sweep lose or repeat a trial when its workers are killed?

    scripts/run scripts/stress_sweep.py --trials=200 --workers=4 --kills=20

Tiny runs, of which some are killed with their worker (SIGKILL) at random moments. Prints how many slots were
finished, lost, and finished more than once, and compares each run's log with what its trial reported.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import optuna
from optuna.trial import TrialState

from experiments.program.locks import free
from experiments.sweeps import study
from experiments.sweeps.folder import Folder
from experiments.sweeps.slots import current, finished, trials_of

ROOT = Path(__file__).resolve().parent.parent
CONFIG = '''"""Tiny runs, for scripts/stress_sweep.py."""

from configs import default
from configs._space import choice, grid, log_uniform


def get_config():
    config = default.get_config()
    config.model.hidden_size = 3
    config.train.length = 6
    config.train.batch = 2
    config.train.updates = 400
    config.train.log_every = 20
    config.train.eval_every = 100
    config.train.eval_batch = 4
    config.train.checkpoint_every = 100
    return config


def get_sweep():
    return {"optimizer.lr": log_uniform(1e-4, 1e-2), "model.depth": choice(1, 2), "seed": grid(range(2))}
'''


def main() -> int:
    """Kills workers of a sweep, and returns 0 where nothing was lost, repeated or changed."""
    asked = arguments()
    chance = random.Random(asked.seed)
    home = Path(tempfile.mkdtemp(prefix="stress_sweep-", dir=asked.home))
    (home / "tiny.py").write_text(CONFIG)
    folder = Folder(str(home / "sweep"))
    began = time.monotonic()
    parent = start(home, folder, asked)
    moments = sorted(chance.uniform(0.01, 0.95) * asked.trials for _ in range(asked.kills))
    killed = 0
    while parent.poll() is None:
        time.sleep(0.1)
        done = sum(1 for _ in folder.path.glob("trials/*/result.json"))
        if killed < len(moments) and done >= moments[killed]:
            time.sleep(chance.uniform(0, 2))
            killed += kill_one(folder, chance)
    print((home / "log").read_text()[-400:])
    return verdict(folder, asked.trials, killed, time.monotonic() - began, parent.returncode)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=200, help="runs, an even number")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--together", type=int, default=0, help="as of experiments/sweep.py")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument(
        "--home", type=os.path.expanduser, help="where to make the folder; by default that of the system"
    )
    return parser.parse_args()


def start(home: Path, folder: Folder, asked: argparse.Namespace) -> subprocess.Popen:
    """Starts the sweep as a program."""
    command = [sys.executable, "experiments/sweep.py", f"--config={home}/tiny.py", f"--workdir={folder.path}"]
    command += [f"--workers={asked.workers}", f"--trials={asked.trials // 2}", "--sampler=random"]
    command += [f"--together={asked.together}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "R3NN_STORAGE": ""}  # a file in the folder
    with open(home / "log", "w") as log:
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)


def kill_one(folder: Folder, chance: random.Random) -> int:
    """Sends SIGKILL to one of the workers -> how many were hit: 0 where none lives."""
    alive = [path for path in sorted(folder.workers.glob("*.lock")) if not free(path)]
    if not alive:
        return 0
    os.kill(int(chance.choice(alive).name.split("-")[0]), signal.SIGKILL)
    return 1


def verdict(folder: Folder, total: int, killed: int, seconds: float, status: int) -> int:
    """Prints the figures -> 0 where all is well."""
    os.environ.pop("R3NN_STORAGE", None)
    with study.connected(study.database("", folder.database)) as storage:
        trials = trials_of(optuna.load_study(study_name=os.path.normpath(folder.path), storage=storage))
    chain = current(trials, total)
    complete = [trial for trial in chain if trial.state == TrialState.COMPLETE]
    slots = [trial.user_attrs.get("slot") for trial in trials if trial.state == TrialState.COMPLETE]
    lost, duplicated = total - sum(map(finished, chain)), len(slots) - len(set(slots))
    differ = sum(not same(folder.path / trial.user_attrs["workdir"], trial) for trial in complete)
    print(
        f"{total} runs, {killed} workers killed, {len(trials) - total} trials taken up again: "
        f"{len(complete)} finished, {lost} lost, {duplicated} duplicated, {differ} with another log than was "
        f"reported; {seconds:.0f} s, exit status {status}"
    )
    return int(len(complete) != total or bool(lost or duplicated or differ or status))


def same(workdir: Path, trial: optuna.trial.FrozenTrial) -> bool:
    """Says whether the log has each evaluation once, as it was reported, and its result is the best."""
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    evaluations = [(line["update"], line["mse"]) for line in lines if line["kind"] == "eval"]
    result = json.loads((workdir / "result.json").read_text())
    return evaluations == sorted(trial.intermediate_values.items()) and result["held_out"] == trial.value


if __name__ == "__main__":
    sys.exit(main())
