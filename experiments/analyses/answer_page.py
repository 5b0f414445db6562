"""Writes the answers as a page of plain HTML: pictures inside, no script, nothing fetched."""

import base64
import re
from pathlib import Path
from typing import NamedTuple

import jinja2

from experiments.analyses.subject import Answer, Picture
from experiments.program import plots
from experiments.program.files import write


class Row(NamedTuple):
    """Holds a question about a network, and its answer; or, where that is None, why it does not apply."""

    question: str
    answer: Answer | None
    because: str = ""


def page(path: Path, runs: dict[str, list[Row]], command: str, versions: dict[str, str]) -> None:
    """Writes report.html: the rows of each run, by its label. Raises: NotSaved."""
    folder = jinja2.FileSystemLoader(Path(__file__).parent)
    templates = jinja2.Environment(loader=folder, autoescape=True, undefined=jinja2.StrictUndefined)
    template = templates.get_template("report.html")
    write(path, template.render(runs=runs, command=command, versions=versions, drawn=_drawn))


def _drawn(picture: Picture) -> str:
    """Returns a figure as HTML: lines as SVG, points as an image."""
    if picture.scatter:
        data = base64.b64encode(plots.as_bytes(picture.figure, "png")).decode()
        return f'<img alt="" src="data:image/png;base64,{data}">'
    text = plots.as_bytes(picture.figure, "svg").decode()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.S)
    return re.sub(r' (width|height)="[^"]*"', "", text, count=2)  # of the page, not of inches
