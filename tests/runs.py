"""Runs of a few steps, for the tests of experiments."""

import time
from pathlib import Path

from ml_collections import ConfigDict

from configs import default

ROOT = Path(__file__).resolve().parent.parent
TINY = {
    **{"model.hidden_size": 3, "train.length": 6, "train.batch": 2, "train.updates": 14},
    **{"train.log_every": 4, "train.eval_every": 8, "train.eval_batch": 4},
    **{"optimizer.lr": 0.1, "cache_dir": ""},
}


def tiny(**fields) -> ConfigDict:
    """The config of a tiny run."""
    config = default.get_config()
    config.update_from_flattened_dict({**TINY, **fields})
    return config


def train_line(workdir, *arguments: str, **fields) -> list[str]:
    """The command line of a tiny run."""
    overrides = [f"--config.{name}={value}" for name, value in {**TINY, **fields}.items()]
    return ["train.py", "--config=configs/default.py", f"--workdir={workdir}", *overrides, *arguments]


def everything(folder: Path) -> dict[Path, int]:
    """All that is in a folder, and when each was last changed."""
    return {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}


def wait_for(condition):
    """Until it holds."""
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.05)
    raise TimeoutError
