"""Stage `plot_results`: the figures of a table's own numbers, each as SVG, PNG and Vega-Lite."""

from pathlib import Path
from typing import Annotated

from synthood.common import stage
from synthood.common.command import Outputs
from synthood.reporting.draw import draw
from synthood.reporting.figures.base import PlotSettings, TableData
from synthood.reporting.results import GAINS, VALUES, read_csv


@stage.Stage
def main(
    job: stage.Job,
    settings: PlotSettings,
    values: Annotated[Path, "the table's CSV"],
    gains: Annotated[Path, "the CSV of its gains"],
    output: Outputs,
) -> None:
    draw(job, TableData(settings, values=read_csv(values, VALUES), gains=read_csv(gains, GAINS)), output)


if __name__ == "__main__":
    main()
