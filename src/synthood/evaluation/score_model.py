"""Stage `score_model`: confidence of detectors that need the model itself, its maps or gradients in its images."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import torch

from synthood.common import stage
from synthood.common.devices import device_for, set_threads
from synthood.common.images import check_sizes, open_images, stored
from synthood.errors import SynthoodError
from synthood.evaluation.model_search import Fitted, Images, ImageValidation, batches_of, fitted
from synthood.evaluation.probe import Probe
from synthood.evaluation.settings import TEXTS, ScoreSettings
from synthood.evaluation.summary import check_names, facts, finite, write
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
    probe: Probe, classifier: Classifier, found: Mapping[str, Fitted], files: Mapping[str, Path], parts: Sequence[str]
) -> pd.DataFrame:
    """A row per sample of the parts: the columns of `FACTS`, and a float32 confidence per detector."""
    tables = []
    for part in parts:
        images = read(files, part)
        logits: list[torch.Tensor] = []
        columns: dict[str, list[torch.Tensor]] = {name: [] for name in found}
        for batch, _ in batches_of(probe, classifier, images, part):
            for name, detector in found.items():
                columns[name].append(detector(batch))
            logits.append(batch.plain.logits.float().cpu())
        rows = facts(part, torch.cat(logits), torch.from_numpy(images.labels), stored(files[part])[1])
        scores = {name: finite(torch.cat(each), name, part, files[part]) for name, each in columns.items()}
        tables.append(pd.DataFrame(rows | scores))
        print(f"{part}: {len(images)} images", flush=True)
    return pd.concat(tables, ignore_index=True).astype(TEXTS)


def main(command_line: Sequence[str] | None = None) -> None:
    def work(job: stage.Job) -> None:
        arguments = job.arguments
        set_threads(arguments.threads)
        settings = ScoreSettings.parse(arguments.settings)
        check_names(settings.detectors)
        check_sizes(arguments.images)
        files = {path.stem: path for path in arguments.images}
        classifier = Classifier.load(arguments.model)
        with device_for(arguments.gpus) as device:
            probe = Probe(classifier, device)
            found, candidates = fitted(probe, classifier, settings.detectors, validation(files))
            scores = confidences(probe, classifier, found, files, settings.parts)
        write(job, scores, candidates, settings)
        print(f"{arguments.output[0]}: {len(scores)} samples, {len(settings.detectors)} detectors")

    parser = stage.with_gpus(stage.parser(__doc__))
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--images", type=Path, nargs="+", required=True, help="image sets; a part is named by its file")
    stage.run(parser, work, command_line)


if __name__ == "__main__":
    main()
