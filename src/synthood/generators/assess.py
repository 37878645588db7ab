"""Stage `assess`: how good the synthetic images are, as figures and as a gallery."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from synthood.common import stage
from synthood.common.devices import set_threads
from synthood.common.images import ImageSet, concatenate, read_images
from synthood.generators import quality
from synthood.generators.assess_settings import AssessSettings
from synthood.reporting.gallery import draw_gallery
from synthood.training.model import Classifier, logits_and_features

Figures = dict[str, float | int]


def assess(
    synthetic: ImageSet, train: ImageSet, test: ImageSet, judge: Classifier, settings: AssessSettings
) -> tuple[Figures, np.ndarray]:
    """Figures of the synthetic images, and for each the index of its nearest training image.

    Diversity is measured against real training images, closeness against held-out real images.
    """
    logits, _ = logits_and_features(judge, synthetic.images, torch.device("cpu"))
    real_logits, _ = logits_and_features(judge, test.images, torch.device("cpu"))
    distances, nearest = quality.nearest_training_image(synthetic.images, train.images, settings.shift)
    held_out, _ = quality.nearest_training_image(test.images, train.images, settings.shift)
    diversity = quality.within_class_distance(synthetic.images, synthetic.labels)
    real_diversity = quality.within_class_distance(train.images, train.labels)
    figures: Figures = {
        "images": len(synthetic),
        "judge_accuracy": quality.agreement(real_logits, torch.from_numpy(test.labels)),
        "agreement": quality.agreement(logits, torch.from_numpy(synthetic.labels)),
        "within_class_distance": diversity,
        "within_class_distance_real": real_diversity,
        "diversity": diversity / real_diversity,
        "nearest_training_median": float(distances.median()),
        "nearest_training_median_held_out": float(held_out.median()),
        "copy_share": quality.copy_share(distances, held_out),
    }
    return {key: round(value, 4) for key, value in figures.items()}, nearest.numpy()


def heading(name: str, figures: Figures) -> str:
    """The figures that matter most, in one line."""
    return (
        f"{name}: agreement {figures['agreement']:.1%}, diversity {figures['diversity']:.2f} of real, "
        f"copies {figures['copy_share']:.1%}"
    )


def main(command_line: Sequence[str] | None = None) -> None:
    def work(job: stage.Job) -> None:
        arguments = job.arguments
        settings = AssessSettings.parse(arguments.settings)
        set_threads(arguments.threads)
        blocks = concatenate([read_images(path) for path in arguments.synthetic])
        shown = slice(settings.images)
        synthetic = ImageSet(blocks.images[shown], blocks.labels[shown], blocks.classes)
        train = read_images(arguments.train)
        judge = Classifier.load(arguments.judge)
        figures, nearest = assess(synthetic, train, read_images(arguments.test), judge, settings)
        table, picture = arguments.output
        with job.writing(table) as path:
            path.write_text(json.dumps(figures, indent=1) + "\n")
        with job.writing(picture) as path:
            draw_gallery(path, synthetic, train.images[nearest], heading(arguments.title, figures))
        print(json.dumps(figures))

    parser = stage.parser(__doc__)
    parser.add_argument("--synthetic", type=Path, nargs="+", required=True, help="blocks of synthetic images")
    parser.add_argument("--train", type=Path, required=True, help="ID training images")
    parser.add_argument("--test", type=Path, required=True, help="held-out ID images")
    parser.add_argument("--judge", type=Path, required=True, help="model trained on real images alone")
    parser.add_argument("--title", default="synthetic images")
    stage.run(parser, work, command_line)


if __name__ == "__main__":
    main()
