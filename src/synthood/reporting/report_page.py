"""Stage `report_page`: verdict, leaderboards, figures and galleries of all tables as one HTML file."""

import platform
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import pandas as pd

from synthood.common import stage
from synthood.common.command import Output
from synthood.errors import SynthoodError
from synthood.reporting.page import checks
from synthood.reporting.page.build import Parts, as_yaml, build
from synthood.reporting.page.checks import Warned
from synthood.reporting.page.figures import figures
from synthood.reporting.page.files import unpacked
from synthood.reporting.page.galleries import MEASURED, galleries, read_figures
from synthood.reporting.page.settings import PageSettings
from synthood.reporting.page.tables import Report, read_report
from synthood.reporting.page.times import costs, processors
from synthood.reporting.runs import Run

PACKAGES = ("synthood", "torch", "diffusers", "transformers", "snakemake", "numpy", "pandas", "scikit-learn")


def warnings(
    reports: Sequence[Report],
    histories: Mapping[Run, pd.DataFrame],
    measured: Sequence[tuple[str, str, dict[str, Any]]],
    jobs: Mapping[str, int],
) -> Iterator[Warned]:
    """All warnings: about the tables, the trainings, images that were made (kind, name, figures), processors."""
    for report in reports:
        yield from checks.of_table(report)
    yield from checks.under_fitted(histories)
    for kind, name, found in measured:
        yield from (checks.of_synthetic if kind == "synthetic" else checks.of_outliers)(name, found)
    yield from checks.several_processors(jobs)


def versions() -> dict[str, str]:
    """Of Python and of the packages that matter."""
    found = {"Python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def same_number(name: str, files: Sequence[Path], wanted: int) -> None:
    """Raises where there is not a file for each."""
    if len(files) != wanted:
        raise SynthoodError(
            f"--{name}: {len(files)} files, where the settings need {wanted}; name them in the settings' order"
        )


@stage.Stage
def main(
    job: stage.Job,
    settings: PageSettings,
    tables: Annotated[list[Path], "a CSV file per table, in the settings' order"],
    gains: Annotated[list[Path], "gains per table"],
    output: Output,
    histories: Annotated[Sequence[Path], "per run of the tables, each once"] = (),
    specifications: Annotated[Sequence[Path], "figures, TABLE/NAME.vl.json"] = (),
    pictures: Annotated[Sequence[Path], "in the settings' order"] = (),
    measured: Annotated[Sequence[Path], "figures of the pictures that have some, in their order"] = (),
    results: Annotated[str, "folder of artefacts, whose provenance says time and memory"] = "",
) -> None:
    runs = settings.runs
    judged = [picture for picture in settings.pictures if picture.kind in MEASURED]
    same_number("tables", tables, len(settings.tables))
    same_number("gains", gains, len(settings.tables))
    same_number("histories", histories, len(runs) if histories else 0)
    same_number("pictures", pictures, len(settings.pictures))
    same_number("measured", measured, len(judged))
    reports = [read_report(*one) for one in zip(settings.tables, tables, gains, strict=True)]
    found = [read_figures(path) for path in measured]
    curves = {run: pd.read_csv(path) for run, path in zip(runs, histories, strict=False)}
    names = [one.name for one in settings.tables]
    datasets = {dataset for one in settings.tables for dataset in one.datasets}
    of_images = [(one.kind, f"{one.name} on {one.dataset}", own) for one, own in zip(judged, found, strict=True)]
    about = (Path(results), datasets, names, settings.jobs)
    page = build(
        Parts(
            reports,
            list(warnings(reports, curves, of_images, processors(*about) if results else {})),
            figures(specifications),
            galleries(settings.pictures, pictures, found),
            costs(*about) if results else [],
            [*tables, *gains],
            as_yaml(unpacked(settings.configuration)),
            versions(),
            settings.papers,
        )
    )
    with job.writing(output) as path:
        path.write_text(page, encoding="utf-8", newline="\n")
    print(f"{output}: {len(page.encode()) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
