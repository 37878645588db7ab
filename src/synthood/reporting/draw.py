"""Writes the figures of a table, each as SVG, PNG and Vega-Lite."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

from synthood.common import stage
from synthood.errors import SynthoodError
from synthood.reporting.figures.base import FORMS, Figure, PlotSettings, TableData, figures
from synthood.reporting.figures.style import RC


def draw(job: stage.Job, table: TableData, outputs: Sequence[Path]) -> None:
    """Writes every figure that the table's settings name."""
    known = figures()
    for kind, paths in by_kind(table.settings, outputs).items():
        write(job, known[kind], table, paths)


def write(job: stage.Job, figure: Figure, table: TableData, paths: Mapping[str, Path]) -> None:
    """Writes a figure's three forms; the bytes are the same on every run."""
    data = figure.data(table)
    with job.writing(paths["vl.json"]) as temporary:
        spec = json.dumps(figure.spec(data), allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        temporary.write_text(spec + "\n", encoding="utf-8")
    with matplotlib.rc_context(RC):
        picture = figure.draw(data)
        if picture.get_layout_engine() is not None:
            picture.draw_without_rendering()
            picture.set_layout_engine("none")  # laid out once for both forms
        with job.writing(paths["svg"]) as temporary:
            picture.savefig(temporary, format="svg", metadata={"Date": None, "Creator": None})
        with job.writing(paths["png"]) as temporary:
            picture.savefig(temporary, format="png", dpi=table.settings.figures.dpi, metadata={"Software": None})


def by_kind(settings: PlotSettings, outputs: Sequence[Path]) -> dict[str, dict[str, Path]]:
    """The outputs of each figure by their form; raises where they are not those of the settings' figures."""
    named = {kind: {form: f"{kind}.{form}" for form in FORMS} for kind in settings.drawn}
    given = {path.name: path for path in outputs}
    wanted = [name for forms in named.values() for name in forms.values()]
    if sorted(given) != sorted(wanted) or len(given) < len(outputs):
        raise SynthoodError(f"--output: expected files named {', '.join(wanted)}, got {', '.join(map(str, outputs))}")
    return {kind: {form: given[name] for form, name in forms.items()} for kind, forms in named.items()}
