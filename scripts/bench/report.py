"""Words what the program prints and writes."""

import importlib.metadata
import importlib.util
import os
import pathlib
import platform
import statistics
import time

import jax

from scripts.bench.registry import CASES, SHARE, Row


def line(row: Row) -> str:
    """Writes a row of the table: ratios first, then what they are made of."""
    ratios = "  ".join(f"{rival} {ratio:.2f}" for rival, ratio in row.ratios.items())
    figures = "  ".join(f"{name} {value:.3g}" for name, value in row.figures.items())
    return "\n".join([f"{row.title:28} {ratios}   [{figures}]", *map(_contender, row.contenders)])


def _contender(row: dict) -> str:
    """Writes one contender's line."""
    mega = lambda size: "-" if size is None else f"{size / 2**20:.1f}"
    seconds = "-" if row["compile_s"] is None else f"{row['compile_s']:.2f}"
    return (
        f"    {row['name']:24} {row['ms']:10.2f} ms   compiled in {seconds:>5} s   "
        f"temporary {mega(row['temp_bytes']):>8} MB of {mega(row['total_bytes']):>8}   state {row['state']}"
    )


def summary(name: str, rows: list[Row]) -> list[str]:
    """Writes for each rival the geometric mean and the least of the ratios, beside what they should reach."""
    lines = []
    for rival in dict.fromkeys(rival for row in rows for rival in row.ratios):
        ratios = [row.ratios[rival] for row in rows if rival in row.ratios]
        bar = CASES[name].bars.get(rival)
        mean = _against(statistics.geometric_mean(ratios), bar and bar.mean)
        least = _against(min(ratios), bar and bar.least)
        lines.append(f"{name} against {rival}: geometric mean {mean}, least {least}")
    return lines + _shares(name, [row for row in rows if SHARE in row.figures])


def _shares(name: str, rows: list[Row]) -> list[str]:
    """Says how near the rows with a floor come to it, and the ratios of a program that takes no longer."""
    if not rows:
        return []
    shares = [row.figures[SHARE] for row in rows]
    mean, least = statistics.geometric_mean(shares), _against(min(shares), 0.6)
    lines = [f"{name}, {SHARE}: geometric mean {mean:.2f}, least {least}"]
    for rival in CASES[name].bars:
        if ratios := [row.ratios[rival] / row.figures[SHARE] for row in rows if rival in row.ratios]:
            mean = statistics.geometric_mean(ratios)
            lines.append(f"{name}, a program at that floor against {rival}: geometric mean {mean:.2f}")
    return lines


def _against(value: float, bar: float | None) -> str:
    if bar is None:
        return f"{value:.2f}"
    return f"{value:.2f} ({'reaches' if value >= bar else 'MISSES'} {bar:.2f})"


def machine() -> dict:
    """Describes what the figures depend on: processor, cores, device, versions and date."""
    cpu = pathlib.Path("/proc/cpuinfo")
    names = [text for text in cpu.read_text().splitlines() if "model name" in text] if cpu.exists() else []
    libraries = [
        name for name in ("jaxlib", "flax", "equinox", "keras", "torch") if importlib.util.find_spec(name)
    ]
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cpu": names[0].split(":")[1].strip() if names else platform.processor(),
        "cores": cores(),
        "device": jax.devices()[0].device_kind,
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in libraries},
    }


def cores() -> int:
    """Counts the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
