"""Runs one case after another, each in this process or in its own, and saves the results."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import traceback

from experiments.program import plots
from scripts.bench import figure, report
from scripts.bench.registry import CASES, Row, Setup

PROGRAM = pathlib.Path(__file__).parent.with_suffix(".py")


def measure(name: str, setup: Setup, failures: dict[str, str], spawn: bool = True) -> list[Row]:
    """Measures the rows of a case; where it fails, returns those so far and says why in `failures`.

    spawn: a case that needs a process of its own gets one.
    """
    rows, start = [], time.perf_counter()
    try:
        if spawn and CASES[name].place != "together":
            return elsewhere(name, setup, failures)
        print(f"\n{name}: {' '.join(CASES[name].rows.__doc__.split())}", flush=True)
        for row in CASES[name].rows(setup):
            rows.append(row)
            print(report.line(row), flush=True)
        print(f"{name} took {time.perf_counter() - start:.0f} s", flush=True)
    except Exception as error:  # whatever it is: a benchmark of minutes does not end for one case
        if os.environ.get("R3NN_TRACEBACK"):
            traceback.print_exc()
        failures[name] = " ".join(str(error).split()) or type(error).__name__
        print(f"{name} FAILED: {failures[name]}", flush=True)
    return rows


def elsewhere(name: str, setup: Setup, failures: dict[str, str]) -> list[Row]:
    """Measures a case by the same program in another process, with the CPU devices that it asks for."""
    devices = report.cores() if CASES[name].place == "cores" else 1
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "rows.json"
        options = {"cases": name, "devices": devices, "json": file, **setup._asdict()}
        options["peers"] = ",".join(setup.peers)
        given = [f"--{option}={value}" for option, value in options.items() if value is not None]
        environment = os.environ | {"PYTHONPATH": str(PROGRAM.parent.parent)}
        status = subprocess.run([sys.executable, PROGRAM, *given], env=environment).returncode
        if not file.exists():
            raise RuntimeError(f"its process ended with status {status}.")
        content = json.loads(file.read_text())
    failures |= content["failures"]
    return [Row(**row) for row in content["cases"][name]]


def write(file: pathlib.Path, cases: dict[str, list[Row]], failures: dict[str, str]) -> None:
    """Writes the figures as JSON."""
    rows = {name: [row._asdict() for row in rows] for name, rows in cases.items()}
    content = {"machine": report.machine(), "cases": rows, "failures": failures}
    file.write_text(json.dumps(content, indent=1) + "\n")


def draw(file: pathlib.Path) -> None:
    """Draws the picture of what `write` wrote, beside it."""
    content = json.loads(file.read_text())
    if any(row["ratios"] for rows in content["cases"].values() for row in rows):
        plots.save(figure.draw(content), file.with_suffix(".png"))
