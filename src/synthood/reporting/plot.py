"""Stage `plot`: the figures of a table, each as SVG, PNG and Vega-Lite."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import matplotlib
import pandas as pd

from synthood.common import stage
from synthood.common.artefact import read_provenance, verify
from synthood.common.command import Outputs
from synthood.errors import SynthoodError
from synthood.reporting.figures.base import FORMS, Figure, Model, PlotSettings, TableData, figures
from synthood.reporting.figures.style import RC
from synthood.reporting.runs import Run, read_runs

TIMES = "seconds_by_detector"
"""What a job that scores says in its provenance."""
Times = dict[str, dict[str, float]]


def write(job: stage.Job, figure: Figure, table: TableData, paths: Mapping[str, Path], dpi: int) -> None:
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
            picture.savefig(temporary, format="png", dpi=dpi, metadata={"Software": None})


def by_kind(settings: PlotSettings, paths: Sequence[Path]) -> dict[str, dict[str, Path]]:
    """The outputs of each figure by their form; raises where they are not those of the settings' figures."""
    named = {kind: {form: f"{kind}.{form}" for form in FORMS} for kind in settings.drawn}
    given = {path.name: path for path in paths}
    wanted = [name for forms in named.values() for name in forms.values()]
    if sorted(given) != sorted(wanted) or len(given) < len(paths):
        raise SynthoodError(f"--output: expected files named {', '.join(wanted)}, got {', '.join(map(str, paths))}")
    return {kind: {form: given[name] for form, name in forms.items()} for kind, forms in named.items()}


def image_files(settings: PlotSettings, images: Sequence[str]) -> dict[tuple[str, str], Path]:
    """Image sets by dataset and part; of each dataset `train` comes first."""
    found, place = dict[tuple[str, str], Path](), -1
    for path in map(Path, images):
        place += path.stem == "train"
        found[settings.datasets[place], path.stem] = path
    return found


def seconds_of(runs: Sequence[Run], scores: Sequence[Path], beside: Sequence[Path]) -> dict[Run, Times]:
    """The recorded run times of every run's detectors; of those that no job recorded nothing."""
    found: dict[Run, Times] = {}
    for index, run in enumerate(runs):
        for path in [scores[index], *beside[index :: len(runs)]]:
            found.setdefault(run, {}).update(read_provenance(path).get(TIMES, {}))
    return found


@stage.Stage
def main(
    job: stage.Job,
    settings: PlotSettings,
    output: Outputs,
    values: Annotated[Path | None, "the table's CSV"] = None,
    gains: Annotated[Path | None, "the CSV of its gains"] = None,
    scores: Annotated[Sequence[Path], "per dataset, recipe, seed"] = (),
    histories: Annotated[Sequence[Path], "in the same order"] = (),
    beside: Annotated[Sequence[Path], "scores of other jobs, in the same order"] = (),
    images: Annotated[Sequence[str], "image sets of each dataset, train first"] = (),
) -> None:
    paths = by_kind(settings, output)
    recipes = [*settings.recipes, *settings.others]
    runs = [(d, r, s) for d in settings.datasets for r in recipes for s in settings.seeds]
    for path in histories:
        verify(path)
    detectors = {r: settings.detectors * (r in settings.recipes) for r in recipes}
    found = read_runs(runs, scores, beside, detectors) if scores else {}
    table = TableData(
        settings,
        values=pd.read_csv(values) if values else pd.DataFrame(),
        gains=pd.read_csv(gains) if gains else pd.DataFrame(),
        models={run: Model(frame) for run, frame in found.items()},
        histories={run: pd.read_csv(path) for run, path in zip(runs, histories, strict=bool(histories))},
        images=image_files(settings, images),
        seconds=seconds_of(runs, scores, beside) if scores else {},
    )
    known = figures()
    for kind, of_kind in paths.items():
        write(job, known[kind], table, of_kind, settings.figures.dpi)


if __name__ == "__main__":
    main()
