"""Published figures next to the measured ones: data files, each with its source, and which of them a table asks for."""

import csv
import math
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from synthood.errors import SynthoodError
from synthood.reporting.published_sets import sidecar
from synthood.reporting.settings import ImageSets, Published, PublishedFigure

FOLDER = Path(__file__).with_name("published_figures")
METRICS: dict[str, tuple[str, str]] = {
    "near_auroc": ("near", "auroc"),
    "far_auroc": ("far", "auroc"),
    "id_accuracy": ("test", "id_accuracy"),
}
Row = dict[str, str]


def shipped() -> list[str]:
    """Names of the data files that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.csv"))


def file_of(source: str) -> Path:
    """The CSV file that a source names."""
    return FOLDER / f"{source}.csv" if not source.endswith(".csv") else Path(source)


@cache
def read(source: str) -> tuple[str, list[Row]]:
    """The sentence of a data file's first line, and its rows: a shipped file by name, or one of yours by path.

    Columns: dataset, network, training, detector, near_auroc, far_auroc and id_accuracy in percent, and their `_sd`.
    """
    path = file_of(source)
    if not path.is_file():
        raise SynthoodError(f"{path}: not found; published figures are {', '.join(shipped())}, or a CSV file of yours")
    head, *lines = path.read_text(encoding="utf-8").splitlines()
    rows = list(csv.DictReader(lines))
    if not head.startswith("#") or not rows or not {"dataset", "training", "detector"} <= rows[0].keys():
        raise SynthoodError(
            f"{path}: expected a first line `# source`, and a table with columns dataset, training, detector and "
            f"{', '.join(METRICS)}"
        )
    return head.lstrip("# "), rows


def figures(published: Published, datasets: Iterable[str]) -> list[PublishedFigure]:
    """What was published for the recipes and detectors of a table; raises where a name is not in the data file."""
    _, rows = read(published.source)
    found: list[PublishedFigure] = []
    for dataset in datasets:
        theirs = published.datasets.get(dataset, dataset)
        here = [row for row in rows if row["dataset"] == theirs]
        known(published, "dataset", theirs, rows)
        networks = {row.get("network", "") for row in here}
        if published.network is None and len(networks) > 1:
            raise SynthoodError(f"published.network: {published.source} has {', '.join(sorted(networks))}; choose one")
        here = [row for row in here if published.network in (None, row.get("network", ""))]
        for recipe, training in published.trainings.items():
            known(published, "training", training, here)
            for detector, name in published.detectors.items():
                known(published, "detector", name, here)
                for row in here:
                    if (row["training"], row["detector"]) == (training, name):
                        found += figures_of(published.source, row, dataset, recipe, detector)
    return list({(f.dataset, f.recipe, f.detector, f.set, f.metric): f for f in reversed(found)}.values())[::-1]


def sets_of(published: Published, dataset: str) -> ImageSets:
    """What the published figures of a table's dataset are means over."""
    theirs = published.datasets.get(dataset, dataset)
    known = sidecar(file_of(published.source)).sets
    if theirs not in known:
        raise SynthoodError(f"published: {published.source} does not say which sets its means on {theirs!r} are over")
    return known[theirs]


def dispute(source: str, row: Mapping[str, str], column: str) -> str:
    """Why a figure of a row is disputed; empty where it is not."""
    keys = ("dataset", "training", "detector")
    return next(
        (
            one.reason
            for one in sidecar(file_of(source)).disputed
            if one.figure == column and all(getattr(one, key) == row[key] for key in keys)
        ),
        "",
    )


def figures_of(
    source: str, row: Mapping[str, str], dataset: str, recipe: str, detector: str
) -> Iterable[PublishedFigure]:
    """The figures of one published row, as shares."""
    for column, (part, metric) in METRICS.items():
        if row.get(column):
            spread = row.get(f"{column}_sd")
            yield PublishedFigure(
                dataset=dataset,
                recipe=recipe,
                detector="" if metric == "id_accuracy" else detector,
                set=part,
                metric=metric,
                value=round(float(row[column]) / 100, 6),
                sd=round(float(spread) / 100, 6) if spread else None,
                disputed=dispute(source, row, column),
            )


def known(published: Published, column: str, name: str, rows: list[Row]) -> None:
    """Raises where no row has the name."""
    names = sorted({row[column] for row in rows})
    if name not in names:
        raise SynthoodError(f"published: {published.source} has no {column} {name!r}, only {', '.join(names)}")


def agreement(sd: float, published_sd: float, seeds: int, published_seeds: int = 3) -> float:
    """How far two means may differ by chance: half of Welch's 95 % interval for their difference.

    The published SD is over the number of its seeds (ddof 0), `sd` is ours (ddof 1).
    """
    theirs, ours = published_sd**2 / (published_seeds - 1), sd**2 / seeds
    from scipy.special import stdtrit  # planning, which reads this module too, needs no scipy

    if theirs + ours == 0:
        return 0.0
    freedom = (theirs + ours) ** 2 / (theirs**2 / (published_seeds - 1) + ours**2 / (seeds - 1))
    return float(stdtrit(freedom, 0.975)) * math.sqrt(theirs + ours)
