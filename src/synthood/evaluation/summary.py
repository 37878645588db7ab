"""The table of confidences that a model's scores make, its metrics, and the files of both."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from synthood.common import stage
from synthood.common.names import Names
from synthood.errors import SynthoodError
from synthood.evaluation.metrics.classification import Ece, IDAccuracy
from synthood.evaluation.ranking import Ranking, aurc
from synthood.evaluation.settings import FACTS, ScoreSettings
from synthood.evaluation.ties import tied

FORM: dict[str, Any] = {"float_format": "%.4f", "lineterminator": "\n"}


def check_names(detectors: Iterable[str]) -> None:
    """Raises where a detector bears the name of a column of facts."""
    for name in detectors:
        if name in FACTS:
            raise SynthoodError(f"detectors.{name}: a column of the scores has this name; rename the detector")


def facts(part: str, logits: Tensor, labels: Tensor, names: Names | None) -> dict[str, object]:
    """The columns of `FACTS` for a part's samples, of logits [N,C], labels [N] and the names of their files."""
    return {
        "part": part,
        "index": np.arange(len(labels)),
        "path": names.texts() if names is not None else "",
        "label": labels.numpy(),
        "prediction": logits.argmax(1).numpy(),
        "probability": logits.softmax(1).amax(1).numpy(),
    }


def finite(confidence: Tensor, name: str, part: str, where: Path | str) -> np.ndarray:
    """A detector's column, float32; raises where a score is not finite."""
    if not confidence.isfinite().all():
        raise SynthoodError(f"{where}: detector {name} gives a score on {part} that is not finite")
    return confidence.numpy().astype(np.float32)


def metrics(scores: pd.DataFrame, settings: ScoreSettings) -> pd.DataFrame:
    """A row per detector, set and metric; `near` and `far` are unweighted means over their sets, if any."""
    parts = dict(list(scores.groupby("part", sort=False)))
    rows: list[dict[str, str | float]] = [
        {"detector": "", "set": part, "metric": metric.key, "value": float(metric.of(parts[part], all_once)[0])}
        for part, metrics in [("test", (IDAccuracy(), Ece())), *((part, (IDAccuracy(),)) for part in settings.shifted)]
        for all_once in [np.ones((1, len(parts[part])), np.int32)]
        for metric in metrics
    ]
    test = {name: column.to_numpy() for name, column in parts["test"].items()}
    right = test["label"] == test["prediction"]
    for detector in settings.detectors:
        values: dict[str, dict[str, float]] = {"test": {"aurc": aurc(test[detector], right)}}
        for part in [*settings.near, *settings.far]:
            ranking = Ranking(test[detector], parts[part][detector].to_numpy())
            values[part] = {name: float(value[0]) for name, value in ranking.metrics().items()}
        for role, members in (("near", settings.near), ("far", settings.far)):
            if members:
                values[role] = {
                    name: float(np.mean([values[part][name] for part in members])) for name in values[members[0]]
                }
        rows += [
            {"detector": detector, "set": part, "metric": name, "value": value}
            for part, named in values.items()
            for name, value in named.items()
        ]
    return pd.DataFrame(rows)


def in_percent(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """The rows with a column of shares times 100."""
    return rows.assign(**{column: 100 * rows[column].astype(float)})


def write(
    job: stage.Job,
    outputs: tuple[Path, Path, Path],
    scores: pd.DataFrame,
    candidates: pd.DataFrame,
    settings: ScoreSettings,
) -> None:
    """Writes a job's outputs: scores, metrics, and the log of candidates, whose notes are printed, as are many ties.

    Both CSV files are in percent, as tables are.
    """
    table, summary, searched = outputs
    with job.writing(table) as path:
        scores.to_parquet(path, index=False)
    with job.writing(summary) as path:
        in_percent(metrics(scores, settings), "value").to_csv(path, index=False, **FORM)
    with job.writing(searched) as path:
        in_percent(candidates, "auroc").to_csv(path, index=False, **FORM)
    for line in candidates.loc[candidates["note"] != "", ["detector", "candidate", "note"]].itertuples(index=False):
        print(f"{line.detector} {line.candidate}: {line.note}")
    for name, distinct, share in tied(scores, settings.detectors):
        count = int((scores["part"] == "test").sum())
        print(
            f"warning: {name} gives {count} ID test images {distinct} distinct confidences: {100 * share:.1f} % of "
            f"pairs tie, and AUROC counts ties half"
        )
