"""Stage `score`: confidence of every detector on every sample of a model, and the metrics."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from synthood.common import stage
from synthood.common.devices import set_threads
from synthood.errors import SynthoodError
from synthood.evaluation.detectors import Score, together
from synthood.evaluation.features import FeatureFolder
from synthood.evaluation.kept import Kept, KeptScores
from synthood.evaluation.metrics import Ranking, aurc, ece, id_accuracy, ood_metrics
from synthood.evaluation.search import COLUMNS, Validation, fitted
from synthood.evaluation.settings import FACTS, ScoreSettings

KEPT = ".scores"
"""Folder beside the outputs: what a next run need not score again."""


def fitted_on(folder: FeatureFolder, settings: ScoreSettings) -> tuple[dict[str, Score], pd.DataFrame]:
    """Every detector, and the search's candidates; reads the parts that a choice may depend on and no others."""
    for name in settings.detectors:
        if name in FACTS:
            raise SynthoodError(f"detectors.{name}: a column of the scores has this name; rename the detector")
    grids = any(len(detector.candidates()) > 1 for detector in settings.detectors.values())
    ood = folder.part("ood_validation") if grids else None
    return fitted(settings.detectors, Validation(folder.reference(), ood, str(folder.folder)))


def confidences(folder: FeatureFolder, settings: ScoreSettings, scores: dict[str, Score]) -> pd.DataFrame:
    """A row per sample of test, OOD and shifted sets: the columns of `FACTS`, and a float32 confidence per detector."""
    tables = []
    for part in settings.parts:
        features = folder.part(part)
        columns: dict[str, object] = {
            "part": part,
            "index": np.arange(len(features)),
            "label": features.labels.numpy(),
            "prediction": features.logits.argmax(1).numpy(),
            "probability": features.logits.softmax(1).amax(1).numpy(),
        }
        for name, confidence in together(scores, features).items():
            if not torch.isfinite(confidence).all():
                raise SynthoodError(f"{folder.folder}: detector {name} gives a score on {part} that is not finite")
            columns[name] = confidence.numpy().astype(np.float32)
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True).astype({"part": "str"})


def scored(folder: FeatureFolder, settings: ScoreSettings, store: KeptScores) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Confidences and the search's candidates; of detectors whose scores are kept, as they are."""
    kept = store.read()
    left = {name: detector for name, detector in settings.detectors.items() if name not in kept}
    asked = settings.model_copy(update={"detectors": left})
    fitted_scores, candidates = fitted_on(folder, asked) if left else ({}, pd.DataFrame(columns=list(COLUMNS)))
    table = confidences(folder, asked, fitted_scores)
    for name, one in kept.items():
        table[name] = np.concatenate([one.confidences[part] for part in settings.parts])
    for name in left:
        values = {part: table.loc[table["part"] == part, name].to_numpy() for part in settings.parts}
        kept[name] = Kept(
            values,
            json.loads(candidates[candidates["detector"] == name].to_json(orient="records", double_precision=15)),
        )
    store.write(kept)
    if len(left) < len(settings.detectors):
        print(f"kept from an earlier run: {', '.join(name for name in settings.detectors if name not in left)}")
    ordered = [row for name in settings.detectors for row in kept[name].search]
    return table[[*FACTS, *settings.detectors]], pd.DataFrame(ordered, columns=list(COLUMNS))


def metrics(scores: pd.DataFrame, settings: ScoreSettings) -> pd.DataFrame:
    """A row per detector, set and metric; `near` and `far` are unweighted means over their sets."""
    parts = dict(list(scores.groupby("part", sort=False)))
    test = {name: column.to_numpy() for name, column in parts["test"].items()}
    right = test["label"] == test["prediction"]
    rows: list[dict[str, str | float]] = [
        {
            "detector": "",
            "set": "test",
            "metric": "id_accuracy",
            "value": id_accuracy(test["label"], test["prediction"]),
        },
        {"detector": "", "set": "test", "metric": "ece", "value": ece(test["probability"], right)},
    ]
    for part in settings.shifted:
        shifted = parts[part]
        accuracy = id_accuracy(shifted["label"].to_numpy(), shifted["prediction"].to_numpy())
        rows.append({"detector": "", "set": part, "metric": "id_accuracy", "value": accuracy})
    for detector in settings.detectors:
        values: dict[str, dict[str, float]] = {"test": {"aurc": aurc(test[detector], right)}}
        for part in [*settings.near, *settings.far]:
            ranking = Ranking(test[detector], parts[part][detector].to_numpy())
            values[part] = {name: float(value[0]) for name, value in ood_metrics(ranking.sweep()).items()}
        for role, members in (("near", settings.near), ("far", settings.far)):
            values[role] = {
                name: float(np.mean([values[part][name] for part in members])) for name in values[members[0]]
            }
        rows += [
            {"detector": detector, "set": part, "metric": name, "value": value}
            for part, named in values.items()
            for name, value in named.items()
        ]
    return pd.DataFrame(rows)


def main(command_line: Sequence[str] | None = None) -> None:
    def work(job: stage.Job) -> None:
        set_threads(job.arguments.threads)
        settings = ScoreSettings.parse(job.arguments.settings)
        folder = FeatureFolder(job.arguments.features)
        table, summary, searched = job.arguments.output
        scores, candidates = scored(folder, settings, KeptScores(table.parent / KEPT, folder.digest, settings))
        with job.writing(table) as path:
            scores.to_parquet(path, index=False)
        with job.writing(summary) as path:
            metrics(scores, settings).to_csv(path, index=False, float_format="%.6f", lineterminator="\n")
        with job.writing(searched) as path:
            candidates.to_csv(path, index=False, float_format="%.6f", lineterminator="\n")
        for line in candidates.loc[candidates["note"] != "", ["detector", "candidate", "note"]].itertuples(index=False):
            print(f"{line.detector} {line.candidate}: {line.note}")
        print(f"{table}: {len(scores)} samples, {len(settings.detectors)} detectors")

    parser = stage.parser(__doc__)
    parser.add_argument("--features", type=Path, required=True, help="folder that extract wrote")
    stage.run(parser, work, command_line)


if __name__ == "__main__":
    main()
