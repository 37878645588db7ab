"""Stage `tabulate`: a table of recipes and detectors, with intervals and gains, as CSV, Markdown and HTML."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd

from synthood.common import stage
from synthood.common.command import Output
from synthood.evaluation.metrics.base import IDMetric, OODMetric
from synthood.evaluation.ranking import Ranking
from synthood.reporting.comparisons import compare
from synthood.reporting.image_notes import image_notes
from synthood.reporting.published_sets import contradiction, unsaid
from synthood.reporting.render import html_page, markdown
from synthood.reporting.results import GAINS, KEYS, VALUES, Results, percent, write
from synthood.reporting.runs import Run, read_runs
from synthood.reporting.settings import ImageSets, PublishedOn, TableSettings, TabulateSettings
from synthood.reporting.statistics import Resamples, Runs, crossed, crossed_gain

Scores = dict[Run, pd.DataFrame]


def ood_runs(
    frames: list[pd.DataFrame],
    detector: str,
    part: str,
    prefix: str,
    resamples: Resamples,
    metrics: Sequence[OODMetric],
    id_parts: Sequence[str] = ("test",),
) -> dict[str, Runs]:
    """OOD metrics of one recipe, detector and set: measured per seed, and resampled set by set."""
    measured: dict[str, list[float]] = {metric.key: [] for metric in metrics}
    resampled: dict[str, list[np.ndarray]] = {metric.key: [] for metric in metrics}
    for frame in frames:
        ids = [frame.loc[frame["part"] == name, detector].to_numpy() for name in id_parts]
        id_confidence = np.concatenate(ids)
        ood_confidence = frame.loc[frame["part"] == part, detector].to_numpy()
        drawn_ids = [resamples.weights(f"{prefix}/{n}", len(c)) for n, c in zip(id_parts, ids, strict=True)]
        id_weights = np.concatenate(drawn_ids, axis=1) if len(ids) > 1 else drawn_ids[0]
        ood_weights = resamples.weights(f"{prefix}/{part}", len(ood_confidence))
        ranking = Ranking(id_confidence, ood_confidence)
        drawn, whole = ranking.metrics((id_weights, ood_weights), metrics), ranking.metrics(metrics=metrics)
        for name in measured:
            measured[name].append(float(whole[name][0]))
            resampled[name].append(drawn[name])
    return {name: Runs(np.array(measured[name]), np.stack(resampled[name])) for name in measured}


def id_runs(
    frames: list[pd.DataFrame],
    metric: IDMetric,
    prefix: str,
    resamples: Resamples,
    id_parts: Sequence[str] = ("test",),
) -> Runs:
    """A metric of the classifier over all images of the ID sets, per seed, and resampled set by set."""
    values, drawn = [], []
    for frame in frames:
        parts = [frame[frame["part"] == name] for name in id_parts]
        samples = pd.concat(parts)
        weights = [resamples.weights(f"{prefix}/{n}", len(part)) for n, part in zip(id_parts, parts, strict=True)]
        values.append(float(metric.of(samples, np.ones((1, len(samples)), np.int16))[0]))
        drawn.append(metric.of(samples, np.concatenate(weights, axis=1)))
    return Runs(np.array(values), np.stack(drawn))


def all_runs(
    scores: Scores, settings: TabulateSettings, dataset: str, resamples: Resamples
) -> Iterator[tuple[tuple[str, str, str], dict[str, Runs]]]:
    """(detector, set, metric) and the runs of each recipe; sets, then their near and far means.

    A model that serves all seeds is one run: its seeds say nothing about another training.
    """
    table = settings.table
    seeds = {recipe: table.seeds[:1] if recipe in settings.fixed else table.seeds for recipe in table.recipes}
    frames = {recipe: [scores[dataset, recipe, seed] for seed in seeds[recipe]] for recipe in table.recipes}
    id_parts = ["test", *settings.shifted.get(dataset, [])]
    for id_metric in (metric for metric in table.metrics if isinstance(metric, IDMetric)):
        of_ids = {r: id_runs(f, id_metric, dataset, resamples, id_parts) for r, f in frames.items()}
        yield ("", "test", id_metric.key), of_ids
    wanted = [metric for metric in table.metrics if isinstance(metric, OODMetric)]
    roles = {"near": settings.near.get(dataset, []), "far": settings.far.get(dataset, [])}
    roles = {role: members for role, members in roles.items() if members}
    sets = [part for members in roles.values() for part in members]
    for detector in table.detectors:
        runs = {recipe: own[:1] if detector in settings.ensembles else own for recipe, own in frames.items()}
        parts = {
            (recipe, part): ood_runs(runs[recipe], detector, part, dataset, resamples, wanted, id_parts)
            for recipe in table.recipes
            for part in sets
        }
        for metric in (one.key for one in wanted):
            for part in sets:
                yield (detector, part, metric), {r: parts[r, part][metric] for r in table.recipes}
            for role, members in roles.items():
                means = {r: Runs.average([parts[r, part][metric] for part in members]) for r in table.recipes}
                yield (detector, role, metric), means


def tabulate(scores: Scores, settings: TabulateSettings) -> Results:
    """Values per dataset, recipe, detector, set and metric, and gains over each baseline, in percent.

    `p` stands where `TableSettings.compared` and five seeds or more allow a test, corrected for all tests of the table.
    """
    table: TableSettings = settings.table
    resamples = Resamples(table.resamples)
    values: list[dict[str, object]] = []
    gains: list[dict[str, object]] = []
    pairs: dict[int, tuple[str, str, str, Runs, Runs]] = {}
    for dataset in table.datasets:
        for (detector, part, metric), runs in all_runs(scores, settings, dataset, resamples):
            for recipe, own in runs.items():
                key = dict(zip(KEYS, (dataset, recipe, detector, part, metric), strict=True))
                found = crossed(own, table.confidence)
                values.append(key | percent(found) | {"sd": 100 * found.deviation, "seeds": len(own.values)})
                for base in table.baselines:
                    if recipe == base:
                        continue
                    if table.compared(detector, part, metric):
                        pairs[len(gains)] = (recipe, base, part, own, runs[base])
                    over = percent(crossed_gain(own, runs[base], table.confidence), "gain")
                    seeds = min(len(own.values), len(runs[base].values))
                    gains.append(key | {"base": base} | over | {"seeds": seeds, "p": np.nan})
    for index, comparison in zip(pairs, compare(list(pairs.values())), strict=True):
        gains[index]["p"] = np.nan if comparison.p is None else comparison.p
    shown = with_published(pd.DataFrame(values, columns=VALUES), scores, settings)
    return Results(shown, pd.DataFrame(gains, columns=GAINS))


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


def notes_of(settings: TabulateSettings) -> dict[str, str]:
    """What must be known of a table's rows, by its heading."""
    notes: dict[str, str] = dict(settings.evidence)
    if settings.ensembles:
        notes["One model of all seeds, its interval for new images alone"] = f"{', '.join(settings.ensembles)}."
    if settings.fixed and len(settings.table.seeds) > 1:
        notes["One model for all seeds, its interval for new images alone"] = f"{', '.join(settings.fixed)}."
    if settings.priors:
        notes["Generative prior, so not without outside data"] = settings.priors
    if settings.published:
        notes["Published"] = settings.published_source
    return notes


@stage.Stage
def main(
    job: stage.Job,
    settings: TabulateSettings,
    scores: Annotated[list[Path], "one per dataset, recipe and seed, in this order"],
    csv: Output,
    gains: Output,
    md: Output,
    html: Output,
    images: Annotated[Sequence[str], "image sets of each dataset, train first"] = (),
    beside: Annotated[Sequence[Path], "scores of other jobs, in the same order"] = (),
) -> None:
    table = settings.table
    runs = [(d, r, s) for d in table.datasets for r in table.recipes for s in table.seeds]
    found = read_runs(runs, scores, beside, table.detectors)
    results = tabulate(found, settings)
    notes = notes_of(settings) | image_notes(table.datasets, map(Path, images))
    for output, rows in zip((csv, gains), results, strict=True):
        with job.writing(output) as path:
            write(rows, path)
    with job.writing(md) as path:
        path.write_text(markdown(results, table, notes))
    with job.writing(html) as path:
        path.write_text(html_page(results, table, notes))
    print(markdown(results, table, notes))


if __name__ == "__main__":
    main()
