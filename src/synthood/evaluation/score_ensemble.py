"""Stage `score_ensemble`: the mean softmax of several models of one recipe, from their features alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import pandas as pd
import torch

from synthood.common import stage
from synthood.common.command import Output
from synthood.common.devices import set_threads
from synthood.errors import SynthoodError
from synthood.evaluation.feature_files import FeatureFolder
from synthood.evaluation.selection import COLUMNS
from synthood.evaluation.settings import TEXTS, ScoreSettings
from synthood.evaluation.summary import check_names, facts, finite, write


def confidences(folders: Sequence[FeatureFolder], settings: ScoreSettings) -> pd.DataFrame:
    """A row per sample: the columns of `FACTS`, of the mean softmax, and its maximum (arXiv 1612.01474).

    Raises where the models have not seen the same samples.
    """
    tables = []
    for part in settings.parts:
        members = [folder.part(part) for folder in folders]
        for folder, member in zip(folders, members, strict=True):
            same = member.logits.shape == members[0].logits.shape and member.labels.equal(members[0].labels)
            if not same:
                raise SynthoodError(f"{folder.folder}: {part} is not of the samples and classes of the other models")
        mean = torch.stack([member.logits.double().softmax(1) for member in members]).mean(0)
        columns = facts(part, mean.log().float(), members[0].labels, folders[0].names(part))
        likeliest = finite(mean.amax(1).float(), "ensemble", part, folders[0].folder)
        tables.append(pd.DataFrame(columns | dict.fromkeys(settings.detectors, likeliest)))
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
