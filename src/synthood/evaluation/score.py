"""Stage `score`: confidence of every detector on every sample of a model, and the metrics."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd

from synthood.common import stage
from synthood.common.artefact import read_provenance
from synthood.common.command import Output
from synthood.common.devices import set_threads
from synthood.common.timing import Seconds
from synthood.evaluation.detectors.base import Detector
from synthood.evaluation.feature_files import FeatureFolder
from synthood.evaluation.moments import pieces
from synthood.evaluation.score_cache import CachedScores, ScoreCache
from synthood.evaluation.scoring import Score, check_references, together
from synthood.evaluation.search import Validation, fitted
from synthood.evaluation.selection import COLUMNS
from synthood.evaluation.settings import FACTS, TEXTS, ScoreSettings
from synthood.evaluation.summary import check_names, facts, finite, write
from synthood.evaluation.times import TIMES, Times, times_of

CACHE = ".scores"
"""Folder next to the outputs: what a next run need not score again."""


def fitted_on(
    folder: FeatureFolder, settings: ScoreSettings, seconds: Seconds | None = None
) -> tuple[dict[str, Score], pd.DataFrame]:
    """Every detector, and the search's candidates; reads the parts that a choice may depend on and no others."""
    check_names(settings.detectors)
    grids = any(len(detector.candidates()) > 1 for detector in settings.detectors.values())
    ood = folder.part("ood_validation") if grids else None
    return fitted(settings.detectors, Validation(folder.reference(), ood, str(folder.folder)), seconds)


def confidences(
    folder: FeatureFolder, settings: ScoreSettings, scores: dict[str, Score], seconds: Seconds | None = None
) -> pd.DataFrame:
    """A row per sample of test, OOD and shifted sets: the columns of `FACTS`, and a float32 confidence per detector."""
    tables = []
    for part in settings.parts:
        features = folder.part(part)
        columns = facts(part, features.logits, features.labels, folder.names(part))
        for name, confidence in together(scores, features, seconds).items():
            columns[name] = finite(confidence, name, part, folder.folder)
        tables.append(pd.DataFrame(columns))
    check_references(scores.values())
    return pd.concat(tables, ignore_index=True).astype(TEXTS)


def scored(
    folder: FeatureFolder, settings: ScoreSettings, cache: ScoreCache, times: dict[str, Times] | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Confidences and the search's candidates; cached scores are used as they are.

    `times`, those of an earlier run, are brought up to date: those of cached scores stay.
    """
    fitting, scoring = dict[str, float](), dict[str, float]()
    cached = cache.read()
    left = {name: detector for name, detector in settings.detectors.items() if name not in cached}
    asked = settings.model_copy(update={"detectors": left})
    for line in assumptions(folder, left):
        print(line)
    fitted_scores, candidates = fitted_on(folder, asked, fitting) if left else ({}, pd.DataFrame(columns=list(COLUMNS)))
    table = confidences(folder, asked, fitted_scores, scoring)
    for name, one in cached.items():
        table[name] = np.concatenate([one.confidences[part] for part in settings.parts])
    for name in left:
        values = {part: table.loc[table["part"] == part, name].to_numpy() for part in settings.parts}
        cached[name] = CachedScores(
            values,
            json.loads(candidates[candidates["detector"] == name].to_json(orient="records", double_precision=15)),
        )
    cache.write(cached)
    if times is not None:
        earlier = {name: one for name, one in times.items() if name in settings.detectors and name not in left}
        times.clear()
        times |= earlier | times_of(fitting, scoring, len(table))
    if len(left) < len(settings.detectors):
        print(f"from the cache of an earlier run: {', '.join(name for name in settings.detectors if name not in left)}")
    ordered = [row for name in settings.detectors for row in cached[name].search]
    return table[[*FACTS, *settings.detectors]], pd.DataFrame(ordered, columns=list(COLUMNS))


def assumptions(folder: FeatureFolder, detectors: Mapping[str, Detector]) -> Iterator[str]:
    """A line where detectors are meant for features of a ReLU, and training features are not."""
    names = [name for name, detector in detectors.items() if detector.of_rectified]
    if names:
        train = folder.part("train").features
        below = sum(int((rows < 0).sum()) for _, rows in pieces(train))
        if below:
            yield (
                f"note: {', '.join(names)}: meant for features that are never below zero, as those of a ReLU; "
                f"{100 * below / train.numel():.1f} % of the training features are; scored by the formula as it is"
            )


@stage.Stage
def main(
    job: stage.Job,
    settings: ScoreSettings,
    threads: int,
    features: Annotated[Path, "folder that extract wrote"],
    scores: Output,
    metrics: Output,
    search: Output,
) -> None:
    set_threads(threads)
    folder = FeatureFolder(features)
    times = dict(read_provenance(scores).get(TIMES, {}))
    found, candidates = scored(folder, settings, ScoreCache(scores.parent / CACHE, folder.digest, settings), times)
    job.facts[TIMES] = times
    write(job, (scores, metrics, search), found, candidates, settings)
    print(f"{scores}: {len(found)} samples, {len(settings.detectors)} detectors")


if __name__ == "__main__":
    main()
