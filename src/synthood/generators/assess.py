"""Stage `assess`: how good the synthetic images are, as figures and as a gallery."""

import json
import math
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from synthood.common import stage
from synthood.common.command import Output
from synthood.common.devices import set_threads
from synthood.common.images import ImageSet, concatenate, read_images
from synthood.common.json import finite_json
from synthood.generators.assess_settings import AssessSettings
from synthood.generators.quality import measures
from synthood.generators.quality.comparison import compared, copying_in
from synthood.generators.quality.diversity import class_distances
from synthood.generators.quality.memorisation import copying
from synthood.generators.quality.nearest import nearest_training_image
from synthood.reporting.gallery import PER_CLASS, draw_gallery
from synthood.training.networks.model import Classifier, logits_and_features

Figures = dict[str, Any]


def assess(
    synthetic: ImageSet, train: ImageSet, test: ImageSet, judge: Classifier, settings: AssessSettings
) -> tuple[Figures, np.ndarray]:
    """Figures of the synthetic images, and for each the index of its nearest training image.

    Diversity is measured against real training images; closeness, and distances of features, against held-out ones.
    """
    (logits, made), (real_logits, held_out), (_, taught) = (
        logits_and_features(judge, one.images, torch.device("cpu")) for one in (synthetic, test, train)
    )
    distances, nearest = nearest_training_image(synthetic.images, train.images, settings.max_shift)
    held_out_distances, _ = nearest_training_image(test.images, train.images, settings.max_shift)
    diversity = measures.within_class_distance(synthetic.images, synthetic.labels)
    real_diversity = measures.within_class_distance(train.images, train.labels)
    labels = synthetic.labels, test.labels
    figures: Figures = {
        "images": len(synthetic),
        "judge_accuracy": measures.agreement(real_logits, torch.from_numpy(test.labels)),
        "agreement": measures.agreement(logits, torch.from_numpy(synthetic.labels)),
        "within_class_distance": diversity,
        "within_class_distance_real": real_diversity,
        "diversity": diversity / real_diversity,
        "nearest_training_median": float(distances.median()),
        "nearest_training_median_held_out": float(held_out_distances.median()),
        "copy_share": measures.copy_share(distances, held_out_distances),
        "block_traces": measures.block_traces(synthetic.images),
        "block_traces_real": measures.block_traces(test.images),
    }
    figures = {key: round(value, 4) for key, value in figures.items()}
    figures["by_class"] = by_class(synthetic, train, logits)
    figures["copying"] = {
        "pixels": copying(distances.numpy(), labels[0], held_out_distances.numpy(), labels[1]),
        "classifier": copying_in(made.numpy(), labels[0], held_out.numpy(), labels[1], taught.numpy()),
    }
    figures["features"] = {"classifier": compared(made.numpy(), held_out.numpy(), settings.resamples)}
    if settings.inception is not None:
        from synthood.generators.quality import inception

        name, network = inception.load(Path(settings.inception))
        seen, seen_held_out = (inception.features(network, one.images) for one in (synthetic, test))
        figures["features"][name] = compared(seen, seen_held_out, settings.resamples)
    return figures, nearest.numpy()


def by_class(synthetic: ImageSet, train: ImageSet, logits: Tensor) -> dict[str, Figures]:
    """Of each class: images, the judge's agreement, and diversity as a share of the real images'."""
    classes = len(synthetic.classes)
    made, real = (class_distances(x.images, x.labels, classes) for x in (synthetic, train))
    agrees = (logits.argmax(1).numpy() == synthetic.labels).astype(np.float64)
    return {
        name: {
            "images": int(own.sum()),
            "agreement": round(float(agrees[own].mean()), 4) if own.any() else math.nan,
            "diversity": round(float(made[label] / real[label]), 4),
        }
        for label, name in enumerate(synthetic.classes)
        for own in [synthetic.labels == label]
    }


def first_real(train: ImageSet, count: int) -> ImageSet:
    """The first training images of each class."""
    chosen = np.concatenate([np.flatnonzero(train.labels == label)[:count] for label in range(len(train.classes))])
    return ImageSet(train.images[chosen], train.labels[chosen], train.classes)


def heading(name: str, figures: Figures) -> str:
    """The figures that matter most, in one line."""
    own = figures["features"]["classifier"]
    return (
        f"{name}: agreement {figures['agreement']:.1%}, diversity {figures['diversity']:.2f} of real, "
        f"copies {figures['copy_share']:.1%}, classifier FID {own['fid']['value']:.3g} "
        f"(real images {own['floor']['fid']['value']:.3g}, N {own['n']})"
    )


@stage.Stage
def main(
    job: stage.Job,
    settings: AssessSettings,
    threads: int,
    synthetic: Annotated[list[Path], "blocks of synthetic images"],
    train: Annotated[Path, "ID training images"],
    test: Annotated[Path, "held-out ID images"],
    judge: Annotated[Path, "model trained on real images alone"],
    figures: Output,
    gallery: Output,
    title: str = "synthetic images",
) -> None:
    set_threads(threads)
    blocks = concatenate([read_images(path) for path in synthetic])
    first = slice(settings.images)
    shown = ImageSet(blocks.images[first], blocks.labels[first], blocks.classes)
    real = read_images(train)
    found, nearest = assess(shown, real, read_images(test), Classifier.load(judge), settings)
    with job.writing(figures) as path:
        path.write_text(json.dumps(finite_json(found), indent=1) + "\n")
    with job.writing(gallery) as path:
        above = heading(title, found)
        draw_gallery(path, shown, real.images[nearest], above, real=first_real(real, PER_CLASS))
    print(json.dumps(finite_json(found)))
    for name, own in found["by_class"].items():
        if not own["images"]:
            print(f"note: no image of {name} among those assessed; raise assess.images or look at the generator")


if __name__ == "__main__":
    main()
