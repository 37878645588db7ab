"""Stage `plot`: the figures of a table's scores, each as SVG, PNG and Vega-Lite."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import pandas as pd

from synthood.common import stage
from synthood.common.artefact import read_provenance, verify
from synthood.common.command import Outputs
from synthood.evaluation.times import TIMES, Times
from synthood.reporting.draw import draw
from synthood.reporting.figures.base import Model, PlotSettings, TableData
from synthood.reporting.runs import Run, read_runs


def image_files(settings: PlotSettings, images: Sequence[Path]) -> dict[tuple[str, str], Path]:
    """Image sets by dataset and part; of each dataset `train` comes first."""
    found, place = dict[tuple[str, str], Path](), -1
    for path in images:
        place += path.stem == "train"
        found[settings.datasets[place], path.stem] = path
    return found


def seconds_of(runs: Sequence[Run], scores: Sequence[Path], beside: Sequence[Path]) -> dict[Run, dict[str, Times]]:
    """The recorded run times of every run's detectors; of those that no job recorded nothing."""
    found: dict[Run, dict[str, Times]] = {}
    for index, run in enumerate(runs):
        for path in [scores[index], *beside[index :: len(runs)]]:
            found.setdefault(run, {}).update(read_provenance(path).get(TIMES, {}))
    return found


@stage.Stage
def main(
    job: stage.Job,
    settings: PlotSettings,
    scores: Annotated[list[Path], "per dataset, recipe, seed"],
    histories: Annotated[list[Path], "in the same order"],
    images: Annotated[list[Path], "image sets of each dataset, train first"],
    output: Outputs,
    beside: Annotated[Sequence[Path], "scores of other jobs, in the same order"] = (),
) -> None:
    recipes = [*settings.recipes, *settings.others]
    runs = [(d, r, s) for d in settings.datasets for r in recipes for s in settings.seeds]
    for path in histories:
        verify(path)
    found = read_runs(runs, scores, beside, {r: settings.detectors * (r in settings.recipes) for r in recipes})
    table = TableData(
        settings,
        models={run: Model(frame) for run, frame in found.items()},
        histories={run: pd.read_csv(path) for run, path in zip(runs, histories, strict=True)},
        images=image_files(settings, images),
        seconds=seconds_of(runs, scores, beside),
    )
    draw(job, table, output)


if __name__ == "__main__":
    main()
