"""Measures how training scales over processes of one machine, and what local updates save.

    scripts/run scripts/scaling.py

Updates a second of one network in 1, 2 and 4 processes; and the held-out error of a small one in 2 and
4 processes against updates and against bytes sent, at train.sync_every = 1, 8 and 64. Each is a real run of
experiments/train.py, its processes on loopback. Leaves experiments/results/scaling.json and scaling.png, the
figures of experiments/SCALING.md; a few minutes on 2 idle cores. --processes=2 --sync_every=1,8 --updates=256
--json=FILE for a quick look. --plan measures nothing: it prints what more devices would send and save.
"""

import argparse
import json
import math
import os
import platform
import shlex
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jax

from experiments.building.assembly import build
from experiments.config.command_line import parse
from experiments.program import plots
from experiments.program.files import to_json
from experiments.run.result_record import versions
from r3nn import training

ROOT = Path(__file__).resolve().parent.parent
WIDE = {  # long updates, few of them
    **{"model.cell": "gru", "model.hidden_size": 256, "train.length": 100, "train.batch": 64},
    **{"train.updates": 40, "train.log_every": 2, "train.eval_every": 40, "train.eval_batch": 64},
}
SMALL = {  # learns in a thousand updates
    **{"model.cell": "ugrnn", "model.hidden_size": 32, "model.predict": "last", "model.init.chrono": 60.0},
    **{"train.length": 60, "train.batch": 32, "optimizer.lr": 0.01, "optimizer.schedule": "cosine"},
    **{
        "train.log_every": 64,
        "train.eval_every": 64,
        "train.eval_batch": 512,
        "train.checkpoint_every": 6400,
    },
}
DILOCO = {"train.outer_lr": 0.7, "train.outer_momentum": 0.9}


def main() -> int:
    """Measures, writes the numbers, draws them."""
    options = arguments()
    if options.plan:
        plan()
        return 0
    jax.config.update("jax_num_cpu_devices", max(4, *options.processes))  # to count what would be sent
    began, load = time.time(), os.getloadavg()[0]
    report = {
        "command": shlex.join(["scripts/run", "scripts/scaling.py", *sys.argv[1:]]),
        "machine": {"processor": processor(), "cores": len(os.sched_getaffinity(0))},
        "versions": versions(),
        "curve": [speed(processes) for processes in (1, *options.processes)],
        "averaging": [
            averaging(processes, every, outer, options.updates)
            for processes in options.processes
            for every in options.sync_every
            for outer in ({}, DILOCO)
            if not outer or every == max(options.sync_every) > 1
        ],
    }
    report["load_average"] = {"before": round(load, 2), "after": round(os.getloadavg()[0], 2)}
    report["seconds"] = round(time.time() - began, 1)
    path = Path(options.json)
    path.write_text(to_json(report))
    draw(report, path.with_suffix(".png"))
    print(path, path.with_suffix(".png"), sep="\n")
    return 0


def arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    numbers = lambda text: [int(word) for word in text.split(",")]
    parser.add_argument("--json", type=os.path.expanduser, default="experiments/results/scaling.json")
    parser.add_argument("--processes", type=numbers, default=[2, 4])
    parser.add_argument("--sync_every", type=numbers, default=[1, 8, 64])
    parser.add_argument("--updates", type=int, default=1024)
    parser.add_argument("--plan", action="store_true")
    return parser.parse_args()


def speed(processes: int) -> dict[str, Any]:
    """Updates a second of the wide network."""
    found = run(processes, WIDE)
    seconds = [line["seconds"] for line in found["lines"] if line["kind"] == "train"]
    taken = [after - before for before, after in zip(seconds, seconds[1:], strict=False)]
    return {
        "processes": processes,
        "updates_per_second": round(WIDE["train.log_every"] / statistics.median(taken), 3),
        "fastest": round(WIDE["train.log_every"] / min(taken), 3),
        "parameters": found["result"]["parameters"],
        "bytes_sent_per_update": sent(WIDE, processes),
        "load_average": found["load_average"],
    }


def averaging(processes: int, every: int, outer: dict[str, float], updates: int) -> dict[str, Any]:
    """Measures the held-out error of the small network over updates."""
    fields = {**SMALL, "train.updates": updates, "train.sync_every": every, **outer}
    found = run(processes, fields)
    held_out = [(line["update"], line["mse"]) for line in found["lines"] if line["kind"] == "eval"]
    return {
        **{"processes": processes, "sync_every": every, "outer": outer},
        "bytes_sent_per_update": sent(fields, processes),
        "updates": [update for update, _ in held_out],
        "mse": [error for _, error in held_out],
        "test_mse": found["result"]["value"],
        "baseline": found["result"]["baseline"],
        "seconds": found["result"]["seconds"],
        "load_average": found["load_average"],
    }


def plan() -> None:
    """Prints a table of the wide network on more devices, 8 sequences on each: by arithmetic.

    Supposed: 8 devices are a host, whose links give 100 GB/s to each; between hosts there are 12.5 GB/s
    (100 Gb/s); a hop of a tree, up or down, takes 20 us. A sum of n bytes sends 2 n (R - 1) / R from each.
    """
    gradients = 4 * build(parse(["train.py", *words(WIDE), "--workdir=none"], "").config).parameters
    print("| devices | batch | gradients | metrics | ms, k=1 | ms, k=64 | checkpoint | checkpoint, k>1 |")
    print("|---|---|---|---|---|---|---|---|")
    for devices in (8, 64, 1000):
        batch, sends = 8 * devices, 2 * (devices - 1) / devices
        metrics = 12 * batch  # loss, error and count of each sequence
        rate, hops = 100e9 if devices == 8 else 12.5e9, 2 * math.ceil(math.log2(devices))
        ms = lambda size: 1e3 * (sends * size / rate + hops * 20e-6)  # noqa: B023
        local = ms(gradients + 64 * metrics) / 64
        saved, replicas = 3 * gradients, 2 * gradients * (devices + 1)
        cells = (sends * gradients, sends * metrics, saved, replicas)
        sent_, said, one, many = (f"{size / 1e6:,.2f} MB" for size in cells)
        row = (
            devices,
            f"{batch:,}",
            sent_,
            said,
            f"{ms(gradients + metrics):.2f}",
            f"{local:.2f}",
            one,
            many,
        )
        print(f"| {' | '.join(map(str, row))} |")


def words(fields: dict[str, Any]) -> list[str]:
    """Makes the command line of a run, without what names its processes."""
    return ["--config=configs/default.py", *(f"--config.{name}={value}" for name, value in fields.items())]


def run(processes: int, fields: dict[str, Any]) -> dict[str, Any]:
    """Runs a training in so many processes -> its log, its result and the load of the machine meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "experiments/train.py", *words(fields), f"--config.devices={processes}"]
        cluster = [f"--coordinator=127.0.0.1:{free_port()}", f"--processes={processes}"]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        started = []
        for i in range(processes):
            mine = [*command, *cluster, f"--process={i}", f"--workdir={folder}/{i}"]
            started.append(subprocess.Popen(mine, cwd=ROOT, env=env, stdout=subprocess.DEVNULL))
        statuses = [process.wait() for process in started]
        load = round(os.getloadavg()[0], 2)
        if any(statuses):
            raise SystemExit(f"{' '.join(command)} in {processes} processes ended with {statuses}.")
        lines = Path(folder, "0", "metrics.jsonl").read_text().splitlines()
        result = json.loads(Path(folder, "0", "result.json").read_text())
    print(f"{processes} processes, {fields.get('train.sync_every', 1)}: {result['seconds']} s", flush=True)
    return {"lines": list(map(json.loads, lines)), "result": result, "load_average": load}


def free_port() -> int:
    """Returns a port of loopback that nothing listens on."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def sent(fields: dict[str, Any], devices: int) -> float:
    """Returns the bytes that each device sends per update.

    A sum of n bytes takes 2 (R - 1) / R n from each of R devices, which form a ring.
    """
    experiment = build(parse(["train.py", *words(fields), "--workdir=none"], "").config, devices)
    spec, every = experiment.spec, experiment.spec.sync_every
    updates = lambda hparams, state: training.updates(spec, hparams, state, every)
    jaxpr = jax.make_jaxpr(updates)(experiment.hparams, jax.eval_shape(experiment.start)).jaxpr
    return round(2 * (devices - 1) / devices * summed(jaxpr) / every, 1)


def summed(jaxpr) -> int:
    """Counts the bytes of all that a program sums over its devices."""
    total = 0
    for equation in jaxpr.eqns:
        inner = [value for value in equation.params.values() if hasattr(value, "eqns")]
        times = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
        total += times * sum(map(summed, inner))
        if equation.primitive.name.startswith("psum"):
            total += sum(math.prod(x.aval.shape) * x.aval.dtype.itemsize for x in equation.invars)
    return total


def processor() -> str:
    """Names the processor, where Linux says it."""
    try:
        names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
        return names[0].partition(":")[2].strip()
    except (OSError, IndexError):
        return platform.processor() or "unknown"


def draw(report: dict[str, Any], path: Path) -> None:
    """Updates a second; the error against updates, and against bytes."""
    figure, (left, middle, right) = plots.axes(columns=3, width=4.6, height=3.6)
    count = [row["processes"] for row in report["curve"]]
    rates, usual = ([row[name] for row in report["curve"]] for name in ("fastest", "updates_per_second"))
    plots.curve(left, count, rates, marker="o", label="fastest pair of updates")
    plots.curve(left, count, usual, marker="o", color=plots.COLORS[5], linewidth=1, label="median")
    left.legend(frameon=False, fontsize=8, loc="upper left")
    plots.baseline(left, count, [rates[0] * n for n in count], "ideal")
    left.set_xticks(count)
    left.set_ylim(bottom=0)
    cores = report["machine"]["cores"]
    plots.name(left, "Updates a second", f"processes, on {cores} cores", "updates a second")
    for axes, of_bytes in ((middle, False), (right, True)):
        for row in report["averaging"]:
            errors(axes, row, of_bytes)
        axes.axhline(
            report["averaging"][0]["baseline"], color=plots.PALE, linewidth=1.2, linestyle=(0, (5, 3))
        )
        axes.set_yscale("log")
    plots.name(middle, "Held-out mse", "updates", "mse")
    plots.name(right, "Held-out mse", "bytes that each process has sent", "mse")
    right.set_xscale("log")
    middle.legend(framealpha=1, edgecolor="none", fontsize=7.5, loc="upper right")
    plots.save(figure, path)


def errors(axes, row: dict[str, Any], of_bytes: bool) -> None:
    """Draws one run's line: a colour for what joins the replicas, a dash for the number of processes."""
    kinds = [(1, False), (8, False), (64, False), (64, True)]
    kind = (row["sync_every"], bool(row["outer"]))
    color = plots.COLORS[kinds.index(kind) if kind in kinds else 4]
    factor = row["bytes_sent_per_update"] if of_bytes else 1
    style = {"linestyle": "-" if row["processes"] == 2 else (0, (3, 2)), "linewidth": 1.4}
    label = f"every {row['sync_every']}{', DiLoCo' if row['outer'] else ''}; {row['processes']} processes"
    plots.curve(
        axes, [update * factor for update in row["updates"]], row["mse"], color=color, label=label, **style
    )


if __name__ == "__main__":
    sys.exit(main())
