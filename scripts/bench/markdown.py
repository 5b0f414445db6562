"""Writes the figures of a run as Markdown, for scripts/PERFORMANCE.md.

scripts/run scripts/bench/markdown.py bench.json
"""

import json
import pathlib
import statistics
import sys


def tables(content: dict) -> str:
    """Writes a table for each case, a line for each row: a column for each rival, then what r3nn took."""
    machine = ", ".join(f"{name} {value}" for name, value in content["machine"].items())
    parts = [f"### `{name}`\n\n{_table(rows)}" for name, rows in content["cases"].items() if rows]
    return "\n\n".join([machine, *parts])


def _table(rows: list[dict]) -> str:
    rivals = list(dict.fromkeys(rival for row in rows for rival in row["ratios"]))
    lines = [["", *rivals, "ms", "MB (others)", "besides"], ["---"] * (len(rivals) + 4)]
    lines += [[row["title"], *(_ratio(row["ratios"].get(r)) for r in rivals), *_ours(row)] for row in rows]
    means = [statistics.geometric_mean(x for row in rows if (x := row["ratios"].get(r))) for r in rivals]
    if len(rows) > 1:
        lines.append(["geometric mean", *map(_ratio, means), "", "", ""])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _ours(row: dict) -> list[str]:
    ours = next((c for c in row["contenders"] if c["against"] == "r3nn"), None)
    figures = ", ".join(f"{name} {value:.3g}" for name, value in row["figures"].items() if name != "rounds")
    if ours is None:
        return ["", "", figures]
    others = [c["temp_bytes"] for c in row["contenders"] if c is not ours and c["temp_bytes"]]
    mega = lambda size: f"{size / 2**20:.0f}" if size else "-"
    temporary = f"{mega(ours['temp_bytes'])} ({mega(min(others, default=0))})"
    return [f"{ours['ms']:.0f}", temporary, figures]


if __name__ == "__main__":
    print(tables(json.loads(pathlib.Path(sys.argv[1]).read_text())))
