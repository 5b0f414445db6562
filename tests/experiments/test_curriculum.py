"""Curricula by config: what is refused, and a run that stops and goes on to the same bits."""

import json

import numpy as np
import pytest

import experiments
from experiments.building.assembly import build
from experiments.errors import BadInput, Pruned
from experiments.run.training import run
from tests.helpers import assert_same
from tests.runs import tiny

STAGES = {
    **{"task.name": "s3", "task.options.words": "mixed", "curriculum.words": "random"},
    **{"curriculum.lengths": "4", "curriculum.success": 0.2, "curriculum.end_fraction": 0.1},
    **{"train.length": 8, "train.min_length": 1, "train.updates": 60, "train.log_every": 10},
    **{"train.eval_every": 20, "train.checkpoint_every": 20},
}


def test_a_curriculum_goes_on_to_the_same_bits(tmp_path):
    """It stops in a middle stage; metrics say where it stands."""

    def stop(step, value):
        if step == 20:
            raise Pruned("stopped")

    run(config := tiny(**STAGES), str(tmp_path / "whole"))
    with pytest.raises(Pruned):
        run(config, str(tmp_path / "parts"), watch=stop)
    run(config, str(tmp_path / "parts"))
    one, other = (experiments.load(str(tmp_path / name), 60)[1] for name in ("whole", "parts"))
    assert_same(one, other)
    logs = [
        (tmp_path / name / "metrics.jsonl").read_text("utf-8").splitlines() for name in ("whole", "parts")
    ]
    lines = [[json.loads(line) for line in log] for log in logs]
    stages = [[line["stage"] for line in log if line["kind"] == "train"] for log in lines]
    assert stages[0] == stages[1] == sorted(stages[0]) and stages[0][1] < stages[0][-1] == 2
    assert np.isfinite(lines[0][-1]["accuracy"])


@pytest.mark.parametrize(
    "fields, sentence",
    [
        ({"curriculum.lengths": "3;5"}, "config.curriculum.lengths='3;5': must be whole numbers"),
        ({"curriculum.lengths": "5,9"}, "config.curriculum.lengths=[5, 9]: must grow"),
        ({"curriculum.words": "other"}, "words must be one of random, mixed, got 'other'"),
        ({"train.tbptt": 2}, "config.train.tbptt=2: must be 0 in a curriculum"),
        ({"train.sync_every": 10}, "config.train.sync_every=10: must be 1 for a Curriculum"),
        ({"curriculum.lengths": "", "curriculum.words": ""}, "config.curriculum.success=0.2: acts with"),
        (
            {"task.name": "adding", "task.options": {}},
            "config.curriculum.words='random': task 'adding' has no",
        ),
    ],
)
def test_refused(fields, sentence):
    with pytest.raises(BadInput) as refused:
        build(tiny(**(STAGES | fields)))
    assert sentence in str(refused.value)
