"""Stage `tabulate`: a table of recipes and detectors, with intervals and gains, as CSV, Markdown and HTML."""

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd

from synthood.common import stage
from synthood.common.command import Output
from synthood.evaluation.ties import tied
from synthood.reporting.comparisons import corrected
from synthood.reporting.html_table import html_page
from synthood.reporting.image_notes import image_notes
from synthood.reporting.latex_table import latex
from synthood.reporting.markdown_table import markdown
from synthood.reporting.measure import Scores, all_runs
from synthood.reporting.published_sets import contradiction, unsaid
from synthood.reporting.results import GAINS, KEYS, VALUES, Results, csv_text, percent
from synthood.reporting.runs import read_runs
from synthood.reporting.settings import ImageSets, PublishedOn, TableSettings, TabulateSettings
from synthood.reporting.statistics import Resamples, Runs, crossed, crossed_gain, difference
from synthood.reporting.summaries import Averages, best_of
from synthood.reporting.wide_tables import leaderboard, wide

Item = tuple[str, str, str]
"""Dataset, set, metric."""


@dataclass
class Gains:
    """The rows of gains, and the tests that wait for their common correction."""

    table: TableSettings
    rows: list[dict[str, object]] = field(default_factory=list)
    tests: dict[frozenset[Hashable], tuple[Runs, Runs, list[int]]] = field(default_factory=dict)
    """By the two things compared, in no order: both sides, and the rows that show the p-value."""

    def add(
        self, item: Item, own: tuple[str, str], base: tuple[str, str], runs: Runs, over: Runs, tested: bool
    ) -> None:
        """A gain on (dataset, set, metric) of a recipe by a detector over another recipe by a detector."""
        dataset, part, metric = item
        gain = percent(crossed_gain(runs, over, self.table.confidence), "gain")
        shared = difference(runs, over)
        models = min(len(runs.values), len(over.values), len(shared.values)) if shared else 0
        keys = (dataset, *own, part, metric, *base)
        if tested:
            of_both = frozenset([item, own, base])
            self.tests.setdefault(of_both, (runs, over, []))[2].append(len(self.rows))
        row = zip([*KEYS, "base", "base_detector"], keys, strict=True)
        self.rows.append({**dict(row), **gain, "seeds": models})

    def frame(self) -> pd.DataFrame:
        """All rows, with the p-values of those that are tested."""
        found = corrected([(runs, over) for runs, over, _ in self.tests.values()])
        for p, (*_, rows) in zip(found, self.tests.values(), strict=True):
            for row in rows:
                self.rows[row]["p"] = np.nan if p is None else p
        return pd.DataFrame(self.rows, columns=GAINS).astype({"p": float})


def tabulate(scores: Scores, settings: TabulateSettings) -> Results:
    """Values per dataset, recipe, detector, set and metric, and gains over each baseline, in percent.

    `p` is given where `TableSettings.tested` and five seeds or more allow a test, corrected for all tests of the table.
    """
    table: TableSettings = settings.table
    resamples = Resamples(table.resamples)
    values: list[dict[str, object]] = []
    gains = Gains(table)
    for dataset in table.datasets:
        averages = Averages(settings)
        by_detector: dict[tuple[str, str], dict[str, dict[str, Runs]]] = defaultdict(dict)
        for (detector, part, metric), runs in all_runs(scores, settings, dataset, resamples):
            values += rows_of((dataset, part, metric), detector, runs, gains)
            if "average" in table.summary:
                averages.add(detector, (part, metric), runs)
            if detector in table.detectors and table.between_detectors(part, metric):
                by_detector[part, metric][detector] = runs
        for (part, metric), means in averages.means().items():
            values += rows_of((dataset, part, metric), "average", means, gains)
        if "best" in table.summary:
            values += best_rows(dataset, values, gains)
        for (part, metric), of in by_detector.items():
            for recipe, detector, base in product(table.recipes, of, table.tests.detector_baselines):
                if detector != base:
                    pair = (recipe, detector), (recipe, base)
                    gains.add((dataset, part, metric), *pair, of[detector][recipe], of[base][recipe], True)
    shown = with_published(pd.DataFrame(values, columns=VALUES), scores, settings)
    return Results(shown, gains.frame())


def rows_of(item: Item, detector: str, runs: Mapping[str, Runs], gains: Gains) -> list[dict[str, object]]:
    """The values of one detector (empty where none has a part) on (dataset, set, metric); adds their gains."""
    (dataset, part, metric), table = item, gains.table
    rows: list[dict[str, object]] = []
    for recipe, own in runs.items():
        found = crossed(own, table.confidence)
        key = dict(zip(KEYS, (dataset, recipe, detector, part, metric), strict=True))
        rows.append({**key, **percent(found), "sd": 100 * found.deviation, "seeds": len(own.values)})
        for base in table.bases_of(detector, recipe):
            if base is not None:
                tested = table.tested(detector, part, metric)
                gains.add(item, (recipe, detector), (base, detector), own, runs[base], tested)
    return rows


def best_rows(dataset: str, values: list[dict[str, object]], gains: Gains) -> list[dict[str, object]]:
    """The best value of each recipe over all rows in its place, and its gains; no interval holds for a maximum."""
    table = gains.table
    rows = best_of(pd.DataFrame(values, columns=VALUES).query("dataset == @dataset"), table)
    found = {(row["recipe"], row["set"], row["metric"]): row for row in rows}
    for (recipe, part, metric), row in found.items():
        for base in table.bases_of("best", recipe):
            if base is not None:
                gain = row["mean"] - found[base, part, metric]["mean"]
                facts = {"base": base, "base_detector": "best", "gain": gain, "seeds": row["seeds"]}
                gains.rows.append({key: row[key] for key in KEYS} | facts)
    return rows


def with_published(rows: pd.DataFrame, scores: Scores, settings: TabulateSettings) -> pd.DataFrame:
    """The values with columns `published`, `published_sd` and `published_note`; as they are without published figures.

    A figure about other images is left out, and the note says why.
    """
    if not settings.published:
        return rows
    known = pd.DataFrame([figure.model_dump() for figure in settings.published])
    known = known.rename(columns={"value": "published", "sd": "published_sd", "disputed": "published_note"})
    known = known.astype({"published": float, "published_sd": float})
    known[["published", "published_sd"]] *= 100
    for name, on in settings.published_on.items():
        ours = measured(scores, settings, name, on)
        for part in ("test", "near", "far"):
            if reason := contradiction(on.over, ours, part) or unsaid(on.over, part):
                there = (known["dataset"] == name) & (known["set"] == part)
                known.loc[there, ["published", "published_sd"]] = np.nan
                known.loc[there, "published_note"] = f"not comparable: {reason}"
    return rows.merge(known, how="left", on=KEYS)


def measured(scores: Scores, settings: TabulateSettings, dataset: str, on: PublishedOn) -> ImageSets:
    """How many images of each set a dataset's runs have, by the source's names; the fewest of all runs."""
    parts = pd.concat([frame["part"].value_counts() for run, frame in scores.items() if run[0] == dataset], axis=1)
    fewest = {str(part): int(count) for part, count in parts.min(axis=1).items()}

    def counts(sets: dict[str, list[str]]) -> dict[str, int | None]:
        return {on.names[name]: fewest[name] for name in sets.get(dataset, [])}

    return ImageSets(
        test=fewest["test"], near=counts(settings.near), far=counts(settings.far), shifted=counts(settings.shifted)
    )


def notes_of(settings: TabulateSettings, scores: Scores | None = None) -> dict[str, str]:
    """What must be known of a table's rows, by its heading."""
    notes: dict[str, str] = dict(settings.evidence)
    if settings.ensembles:
        scope = "its interval for new seeds by the jackknife over its models, from three on, and for new images"
        notes[f"One model of all seeds, {scope}"] = f"{', '.join(settings.ensembles)}."
    if settings.fixed and len(settings.table.seeds) > 1:
        notes["One model for all seeds, its interval for new images alone"] = f"{', '.join(settings.fixed)}."
    if settings.priors:
        notes["Generative prior, so not without outside data"] = settings.priors
    if missing := without_models(settings, scores or {}):
        notes["Models that are missing, so fewer seeds"] = f"{missing}."
    if ties := many_ties(settings, scores or {}):
        notes["Many ID images of equal confidence, so that much of the order is not known"] = f"{ties}."
    if settings.published:
        notes["Published"] = settings.published_source
    return notes


def without_models(settings: TabulateSettings, scores: Scores) -> str:
    """The recipes of which models are missing, with their seeds; of no scores at all none."""
    found = []
    for dataset, recipe in product(settings.table.datasets, settings.table.all_recipes):
        missing = [str(seed) for seed in settings.table.seeds if (dataset, recipe, seed) not in scores]
        if scores and missing and recipe not in settings.fixed:
            found.append(f"{recipe} on {dataset}, seed {', '.join(missing)}")
    return "; ".join(found)


def many_ties(settings: TabulateSettings, scores: Scores) -> str:
    """The detectors that give many ID images the same confidence, with the largest share of pairs and where it is."""
    largest: dict[str, tuple[float, str]] = {}
    for (dataset, recipe, _), frame in scores.items():
        for name, _, share in tied(frame, settings.table.detectors_of(recipe)):
            largest[name] = max(largest.get(name, (0.0, "")), (share, f"{recipe} on {dataset}"))
    return "; ".join(f"{name}, {100 * share:.1f} % of pairs with {where}" for name, (share, where) in largest.items())


@stage.Stage
def main(
    job: stage.Job,
    settings: TabulateSettings,
    scores: Annotated[list[Path], "one per dataset, recipe and seed, in this order"],
    csv: Output,
    gains: Output,
    md: Output,
    html: Output,
    tex: Output,
    wide_csv: Output,
    leaderboard_csv: Output,
    images: Annotated[Sequence[str], "image sets of each dataset, train first"] = (),
    beside: Annotated[Sequence[Path], "scores of other jobs, in the same order"] = (),
) -> None:
    table = settings.table
    runs = [(d, r, s) for d in table.datasets for r in table.all_recipes for s in table.seeds]
    found = read_runs(runs, scores, beside, {r: table.detectors_of(r) for r in table.all_recipes})
    results = tabulate(found, settings)
    notes = notes_of(settings, found) | image_notes(table.datasets, map(Path, images))
    facts = settings.leaderboard
    board = leaderboard(results.values, table, facts.architectures, facts.outlier_data, facts.descriptions)
    frames = {csv: results.values, gains: results.gains, wide_csv: wide(results.values), leaderboard_csv: board}
    texts = {output: csv_text(rows) for output, rows in frames.items()}
    forms = ((md, markdown), (html, html_page), (tex, latex))
    texts |= {output: form(results, table, notes, settings.alone) for output, form in forms}
    for output, text in texts.items():
        with job.writing(output) as path:
            path.write_text(text, encoding="utf-8")
    print(texts[md])


if __name__ == "__main__":
    main()
