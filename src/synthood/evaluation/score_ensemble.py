"""Stage `score_ensemble`: the mean softmax of several models of one recipe, from their features alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd

from synthood.common import stage
from synthood.common.command import Output
from synthood.common.devices import set_threads
from synthood.evaluation.detectors.ensemble import FEWEST_LEFT_OUT, left_out
from synthood.evaluation.detectors.odds import log_odds
from synthood.evaluation.ensembles import combined
from synthood.evaluation.feature_files import FeatureFolder
from synthood.evaluation.selection import COLUMNS
from synthood.evaluation.settings import TEXTS, ScoreSettings
from synthood.evaluation.summary import check_names, facts, finite, write


def confidences(folders: Sequence[FeatureFolder], settings: ScoreSettings) -> pd.DataFrame:
    """A row per sample: the columns of `FACTS`, of the mean softmax, and its log odds (arXiv 1612.01474).

    From three models on also the maximum without each of them, in columns named by `left_out`.

    Raises where the models have not seen the same samples.
    """
    tables = []
    for part in settings.parts:
        members = [folder.part(part) for folder in folders]
        mean = combined(members, [f"{folder.folder}: {part}" for folder in folders])
        columns = facts(part, mean.logits, mean.labels, folders[0].names(part))
        likeliest = finite(log_odds(mean.logits), "ensemble", part, folders[0].folder)
        columns |= dict.fromkeys(settings.detectors, likeliest)
        for index in range(len(members) if len(members) >= FEWEST_LEFT_OUT else 0):
            others = [member for place, member in enumerate(members) if place != index]
            fewer = log_odds(combined(others, [folder.folder for folder in folders[1:]]).logits)
            columns |= {left_out(name, index): fewer.numpy().astype(np.float32) for name in settings.detectors}
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True).astype(TEXTS)


@stage.Stage
def main(
    job: stage.Job,
    settings: ScoreSettings,
    threads: int,
    features: Annotated[list[Path], "what extract wrote, one per seed"],
    scores: Output,
    metrics: Output,
    search: Output,
) -> None:
    set_threads(threads)
    check_names(settings.detectors)
    folders = [FeatureFolder(path) for path in features]
    found = confidences(folders, settings)
    write(job, (scores, metrics, search), found, pd.DataFrame(columns=list(COLUMNS)), settings)
    print(f"{scores}: {len(found)} samples, {len(folders)} models")


if __name__ == "__main__":
    main()
