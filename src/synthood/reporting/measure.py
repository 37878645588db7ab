"""What a table's numbers are of: every metric of every run, as measured and under resampled images."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from synthood.errors import SynthoodError
from synthood.evaluation.detectors.ensemble import left_out
from synthood.evaluation.metrics.base import IDMetric, OODMetric, SelectiveMetric
from synthood.evaluation.ordered import Order, Weighted
from synthood.evaluation.ranking import Ranking
from synthood.reporting.runs import Run
from synthood.reporting.settings import TabulateSettings
from synthood.reporting.statistics import Resamples, Runs

Scores = dict[Run, pd.DataFrame]


class Scored:
    """A model's scores, with the positions of each set's samples, since text is slow to compare."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame
        self.rows = {str(name): rows for name, rows in frame.groupby("part").indices.items()}

    def of(self, column: str, part: str) -> np.ndarray:
        """A column's values [n] of a set."""
        found: np.ndarray = self.frame[column].to_numpy()[self.rows.get(part, [])]
        return found

    def right(self, parts: Sequence[str]) -> np.ndarray:
        """Which samples [n] of some sets are classified correctly."""
        return np.concatenate([self.of("label", part) == self.of("prediction", part) for part in parts])


Key = tuple[str, str, str]
"""Detector, set, metric."""


def ood_runs(
    models: list[Scored],
    detector: str,
    part: str,
    prefix: str,
    resamples: Resamples,
    metrics: Sequence[OODMetric],
    id_parts: Sequence[str] = ("test",),
    seeds: tuple[int, ...] = (),
) -> dict[str, Runs]:
    """OOD metrics of one recipe, detector and set: measured per seed, and resampled set by set."""
    measured: dict[str, list[float]] = {metric.key: [] for metric in metrics}
    resampled: dict[str, list[np.ndarray]] = {metric.key: [] for metric in metrics}
    for scored in models:
        ids = [scored.of(detector, name) for name in id_parts]
        id_confidence, ood_confidence = np.concatenate(ids), scored.of(detector, part)
        drawn_ids = [resamples.weights(f"{prefix}/{n}", len(c)) for n, c in zip(id_parts, ids, strict=True)]
        id_weights = np.concatenate(drawn_ids, axis=1) if len(ids) > 1 else drawn_ids[0]
        ood_weights = resamples.weights(f"{prefix}/{part}", len(ood_confidence))
        ranking = Ranking(id_confidence, ood_confidence, scored.right(id_parts))
        drawn, whole = ranking.metrics((id_weights, ood_weights), metrics), ranking.metrics(metrics=metrics)
        for name in measured:
            measured[name].append(float(whole[name][0]))
            resampled[name].append(drawn[name])
    return {name: Runs(np.array(measured[name]), np.stack(resampled[name]), seeds) for name in measured}


def id_samples(
    models: list[Scored], prefix: str, resamples: Resamples, id_parts: Sequence[str]
) -> Iterator[tuple[pd.DataFrame, np.ndarray]]:
    """Of each seed, the samples [n] of all ID sets and their weights [B,n], resampled set by set."""
    for scored in models:
        parts = [scored.frame.iloc[scored.rows.get(name, [])] for name in id_parts]
        weights = [resamples.weights(f"{prefix}/{n}", len(part)) for n, part in zip(id_parts, parts, strict=True)]
        yield pd.concat(parts), np.concatenate(weights, axis=1)


def id_runs(
    models: list[Scored],
    metric: IDMetric,
    prefix: str,
    resamples: Resamples,
    id_parts: Sequence[str] = ("test",),
    seeds: tuple[int, ...] = (),
) -> Runs:
    """A metric of the classifier over all images of the ID sets, per seed, and resampled set by set."""
    values, drawn = [], []
    for samples, weights in id_samples(models, prefix, resamples, id_parts):
        values.append(float(metric.of(samples, np.ones((1, len(samples)), np.int16))[0]))
        drawn.append(metric.of(samples, weights))
    return Runs(np.array(values), np.stack(drawn), seeds)


def selective_runs(
    models: list[Scored],
    detector: str,
    metric: SelectiveMetric,
    prefix: str,
    resamples: Resamples,
    id_parts: Sequence[str] = ("test",),
    seeds: tuple[int, ...] = (),
) -> Runs:
    """A metric of a detector's confidences on the ID sets, per seed, and resampled set by set."""
    values, drawn = [], []
    for samples, weights in id_samples(models, prefix, resamples, id_parts):
        order = Order(samples[detector].to_numpy(np.float64), np.empty(0))
        right = (samples["label"] == samples["prediction"]).to_numpy()
        once = np.ones((1, len(samples)), np.int32)
        values.append(float(metric.of(Weighted(order, once), right)[0]))
        drawn.append(metric.of(Weighted(order, weights), right))
    return Runs(np.array(values), np.stack(drawn), seeds)


def all_runs(
    scores: Scores, settings: TabulateSettings, dataset: str, resamples: Resamples
) -> Iterator[tuple[Key, dict[str, Runs]]]:
    """(detector, set, metric) and the runs of each recipe; sets, then their near and far means.

    A model that serves all seeds is one run: its seeds say nothing about another training.
    """
    table = settings.table
    models = {recipe: models_of(scores, settings, dataset, recipe) for recipe in table.all_recipes}
    id_parts = ["test", *settings.shifted.get(dataset, [])]
    for id_metric in (metric for metric in table.metrics if isinstance(metric, IDMetric)):
        of_ids = {
            recipe: id_runs(list(own.values()), id_metric, dataset, resamples, id_parts, known(own))
            for recipe, own in models.items()
        }
        yield ("", "test", id_metric.key), of_ids
    wanted = [metric for metric in table.metrics if isinstance(metric, OODMetric)]
    roles = {"near": settings.near.get(dataset, []), "far": settings.far.get(dataset, [])}
    roles = {role: members for role, members in roles.items() if members}
    sets = [part for members in roles.values() for part in members]
    for detector in table.all_detectors:
        runs = {recipe: models[recipe] for recipe in table.recipes_of(detector)}
        if detector in settings.ensembles:
            runs = {recipe: {None: next(iter(own.values()))} for recipe, own in runs.items()}
        parts = {
            (recipe, part): ood_runs(
                list(own.values()), detector, part, dataset, resamples, wanted, id_parts, known(own)
            )
            for recipe, own in runs.items()
            for part in sets
        }
        if detector in settings.ensembles:
            for (recipe, part), found in parts.items():
                parts[recipe, part] = with_models_left_out(found, runs[recipe][None], detector, part, wanted, id_parts)
        for selective in (metric for metric in table.metrics if isinstance(metric, SelectiveMetric)):
            of_tests = {
                recipe: selective_runs(
                    list(own.values()), detector, selective, dataset, resamples, id_parts, known(own)
                )
                for recipe, own in runs.items()
            }
            yield (detector, "test", selective.key), of_tests
        for metric in (one.key for one in wanted):
            for part in sets:
                yield (detector, part, metric), {r: parts[r, part][metric] for r in runs}
            for role, members in roles.items():
                means = {r: Runs.average([parts[r, part][metric] for part in members]) for r in runs}
                yield (detector, role, metric), means


def with_models_left_out(
    runs: dict[str, Runs],
    scored: Scored,
    detector: str,
    part: str,
    metrics: Sequence[OODMetric],
    id_parts: Sequence[str],
) -> dict[str, Runs]:
    """The runs of an ensemble with each metric's values without one of its models, where they were scored."""
    without: list[dict[str, np.ndarray]] = []
    while (name := left_out(detector, len(without))) in scored.frame:
        ids = np.concatenate([scored.of(name, one) for one in id_parts])
        ranking = Ranking(ids, scored.of(name, part), scored.right(id_parts))
        without.append(ranking.metrics(metrics=metrics))
    if not without:
        return runs
    return {key: replace(one, without=np.array([each[key][0] for each in without])) for key, one in runs.items()}


def models_of(scores: Scores, settings: TabulateSettings, dataset: str, recipe: str) -> dict[int | None, Scored]:
    """A recipe's scores by seed, by None where one model serves all; raises where there are none."""
    found: dict[int | None, Scored]
    found = {s: Scored(scores[dataset, recipe, s]) for s in settings.table.seeds if (dataset, recipe, s) in scores}
    if not found:
        raise SynthoodError(f"no scores of recipe {recipe!r} on {dataset!r}; score its models, or leave it out")
    return {None: next(iter(found.values()))} if recipe in settings.fixed else found


def known(models: dict[int | None, Scored]) -> tuple[int, ...]:
    """The seeds of a recipe's models; none where one model serves all."""
    return tuple(seed for seed in models if seed is not None)
