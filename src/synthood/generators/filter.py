"""Stage `filter`: the synthetic images that a classifier confirms and that copy no training image, in equal numbers."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from synthood.common import stage
from synthood.common.command import Output
from synthood.common.devices import device_for, set_threads
from synthood.common.images import ImageSet, concatenate, read_images, write_images
from synthood.errors import SynthoodError
from synthood.generators.filter_settings import Filter, FilterSettings
from synthood.generators.quality.nearest import nearest_of_class
from synthood.training.networks.model import Classifier, logits_and_features

SHOWN = 12


@dataclass(frozen=True)
class Verdicts:
    """What was found of each image [N]: the intended class's posterior, whether it is the likeliest, whether a copy."""

    posterior: np.ndarray
    likeliest: np.ndarray
    copy: np.ndarray

    def accepted(self, min_posterior: float) -> np.ndarray:
        return self.likeliest & (self.posterior >= min_posterior) & ~self.copy


def judged(
    made: ImageSet, train: ImageSet, val: ImageSet, classifier: Classifier, settings: Filter, device: torch.device
) -> Verdicts:
    """The classifier's opinion of every image, and which are nearer to the training images than real ones ever are."""
    classifier.network.to(device)
    logits, _ = logits_and_features(classifier, made.images, device)
    posteriors = logits.softmax(1).numpy()
    likeliest = posteriors.argmax(1) == made.labels
    copies = np.zeros(len(made), bool)
    if settings.copy_percentile:
        distances = near(made, train, settings.max_shift)
        bound = torch.quantile(near(val, train, settings.max_shift), settings.copy_percentile / 100)
        copies = (distances < bound).numpy()
    return Verdicts(posteriors[np.arange(len(made)), made.labels], likeliest, copies)


def near(images: ImageSet, train: ImageSet, shift: int) -> Tensor:
    """Distance [N] of each image to the nearest training image of its class."""
    return nearest_of_class(images.images, images.labels, train.images, train.labels, shift)[0]


def kept(accepted: np.ndarray, labels: np.ndarray, classes: int, per_class: int) -> np.ndarray:
    """Indices of the first `per_class` accepted images of each class, taken in turn; fewer where there are fewer."""
    each = [np.flatnonzero(accepted & (labels == label))[:per_class] for label in range(classes)]
    turns = [indices[turn] for turn in range(per_class) for indices in each if turn < len(indices)]
    return np.array(turns, np.int64)


def counts(made: ImageSet, verdicts: Verdicts, accepted: np.ndarray, per_class: int) -> dict[str, dict[str, float]]:
    """By class: images made, confirmed, told copies, accepted, kept, and the rate of acceptance."""
    found = {}
    for label, name in enumerate(made.classes):
        own = made.labels == label
        total, passed = int(own.sum()), int(accepted[own].sum())
        found[name] = {
            "made": total,
            "likeliest": int(verdicts.likeliest[own].sum()),
            "copies": int(verdicts.copy[own].sum()),
            "accepted": passed,
            "kept": min(passed, per_class),
            "acceptance": round(passed / max(total, 1), 4),
        }
    return found


def require(found: dict[str, dict[str, float]], per_class: int) -> None:
    """Raises where a class has too few accepted images, with the rate of every such class."""
    short = {name: figures for name, figures in found.items() if figures["accepted"] < per_class}
    if not short:
        return
    told = [f"{name} {f['accepted']:.0f} of {f['made']:.0f} ({f['acceptance']:.1%})" for name, f in short.items()]
    more = f" and {len(told) - SHOWN} more" if len(told) > SHOWN else ""
    raise SynthoodError(
        f"filter: {per_class} images of each class are wanted, but too few were accepted: "
        f"{', '.join(told[:SHOWN])}{more}; raise filter.attempts_per_class, lower filter.min_posterior or "
        f"images_per_class, or improve the generator"
    )


@stage.Stage
def main(
    job: stage.Job,
    settings: FilterSettings,
    threads: int,
    synthetic: Annotated[list[Path], "blocks of synthetic images"],
    train: Annotated[Path, "ID training images"],
    val: Annotated[Path, "held-out ID images, for how near real ones come"],
    classifier: Annotated[Path, "model trained on real images alone"],
    images: Output,
    table: Output,
    gpus: Annotated[int, "0: compute on the CPU"] = 0,
) -> None:
    set_threads(threads)
    made = concatenate([read_images(path) for path in synthetic])
    with device_for(gpus) as device:
        judge = Classifier.load(classifier)
        verdicts = judged(made, read_images(train), read_images(val), judge, settings.filter, device)
    accepted = verdicts.accepted(settings.filter.min_posterior)
    found = counts(made, verdicts, accepted, settings.images_per_class)
    require(found, settings.images_per_class)
    order = kept(accepted, made.labels, len(made.classes), settings.images_per_class)
    columns = {"attempt": order, "posterior": verdicts.posterior[order].astype(np.float32)}
    with job.writing(table) as path:
        path.write_text(json.dumps(found, indent=1) + "\n")
    with job.writing(images) as path:
        names = made.names.chosen(order) if made.names is not None else None
        write_images(path, ImageSet(made.images[order], made.labels[order], made.classes, columns, names=names))
    print(f"{images}: {len(order)} of {len(made)} images kept, {accepted.mean():.1%} accepted")


if __name__ == "__main__":
    main()
