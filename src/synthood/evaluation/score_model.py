"""Stage `score_model`: confidence of detectors that need the model itself, its maps or gradients in its images."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import pandas as pd
import torch

from synthood.common import stage
from synthood.common.command import Output
from synthood.common.devices import device_for, set_threads
from synthood.common.images import check_sizes, open_images, stored
from synthood.common.timing import Seconds, timed
from synthood.errors import SynthoodError
from synthood.evaluation.detectors.of_model.base import ModelDetector
from synthood.evaluation.model_search import Fitted, Images, ImageValidation, batches_of, fitted
from synthood.evaluation.probe import Probe
from synthood.evaluation.settings import TEXTS, ScoreSettings
from synthood.evaluation.summary import check_names, facts, finite, write
from synthood.evaluation.times import TIMES, times_of
from synthood.training.networks.model import Classifier


def read(files: Mapping[str, Path], part: str) -> Images:
    """A part by its name; raises where it is not among the files."""
    if part not in files:
        raise SynthoodError(f"{part}: no such part among the images given ({', '.join(sorted(files))})")
    return Images(*open_images(files[part]))


def validation(files: Mapping[str, Path]) -> ImageValidation:
    """What detectors are fitted and chosen on; reads those parts and no others."""
    ood = read(files, "ood_validation") if "ood_validation" in files else None
    return ImageValidation(read(files, "train"), read(files, "val"), ood)


def confidences(
    probe: Probe,
    classifier: Classifier,
    found: Mapping[str, Fitted],
    files: Mapping[str, Path],
    parts: Sequence[str],
    seconds: Seconds | None = None,
) -> pd.DataFrame:
    """A row per sample of the parts: the columns of `FACTS`, and a float32 confidence per detector."""
    tables = []
    for part in parts:
        images = read(files, part)
        logits: list[torch.Tensor] = []
        columns: dict[str, list[torch.Tensor]] = {name: [] for name in found}
        for batch, _ in batches_of(probe, classifier, images, part):
            logits.append(batch.plain.logits.float().cpu())  # first: no detector is charged for what all share
            for name, detector in found.items():
                with timed(seconds, name):
                    columns[name].append(detector(batch))
        rows = facts(part, torch.cat(logits), torch.from_numpy(images.labels), stored(files[part])[1])
        scores = {name: finite(torch.cat(each), name, part, files[part]) for name, each in columns.items()}
        tables.append(pd.DataFrame(rows | scores))
        print(f"{part}: {len(images)} images", flush=True)
    return pd.concat(tables, ignore_index=True).astype(TEXTS)


@stage.Stage
def main(
    job: stage.Job,
    settings: ScoreSettings,
    threads: int,
    model: Annotated[Path, "model that is scored"],
    images: Annotated[list[Path], "image sets; a part is named by its file"],
    scores: Output,
    metrics: Output,
    search: Output,
    gpus: Annotated[int, "0: compute on the CPU"] = 0,
) -> None:
    set_threads(threads)
    check_names(settings.detectors)
    asked = {name: one for name, one in settings.detectors.items() if isinstance(one, ModelDetector)}
    check_sizes(images)
    files = {path.stem: path for path in images}
    classifier = Classifier.load(model)
    fitting, scoring = dict[str, float](), dict[str, float]()
    with device_for(gpus) as device:
        probe = Probe.of(classifier, device)
        with timed(fitting, *asked):  # passes over images that all share
            detectors, candidates = fitted(probe, classifier, asked, validation(files))
        found = confidences(probe, classifier, detectors, files, settings.parts, scoring)
    job.facts[TIMES] = times_of(fitting, scoring, len(found))
    write(job, (scores, metrics, search), found, candidates, settings)
    print(f"{scores}: {len(found)} samples, {len(settings.detectors)} detectors")


if __name__ == "__main__":
    main()
