"""Stage `score_ensemble`: the mean softmax of several models of one recipe, from their features alone."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch

from synthood.common import stage
from synthood.common.devices import set_threads
from synthood.errors import SynthoodError
from synthood.evaluation.features import FeatureFolder
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


def main(command_line: Sequence[str] | None = None) -> None:
    def work(job: stage.Job) -> None:
        set_threads(job.arguments.threads)
        settings = ScoreSettings.parse(job.arguments.settings)
        check_names(settings.detectors)
        folders = [FeatureFolder(path) for path in job.arguments.features]
        scores = confidences(folders, settings)
        write(job, scores, pd.DataFrame(columns=list(COLUMNS)), settings)
        print(f"{job.arguments.output[0]}: {len(scores)} samples, {len(folders)} models")

    parser = stage.parser(__doc__)
    parser.add_argument("--features", type=Path, nargs="+", required=True, help="what extract wrote, one per seed")
    stage.run(parser, work, command_line)


if __name__ == "__main__":
    main()
