"""Stage `assess_outliers`: what a judge without part in the gate makes of the outliers, as figures and a gallery."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from synthood.common import stage
from synthood.common.devices import set_threads
from synthood.common.images import ImageSet, read_images
from synthood.common.tensors import Arrays, read_tensors
from synthood.generators.quality import judged_shares, nearest_training_image
from synthood.reporting.gallery import draw_gallery
from synthood.training.model import Classifier, logits_and_features

SHIFT = 3


def assessed(verdict: Arrays, boundary: Arrays, posteriors: np.ndarray, classes: list[str]) -> dict[str, object]:
    """Figures of the selection, of the gate, and of the judge before and after it."""
    labels, accepted = verdict["labels"], verdict["accepted"]
    rejected = {name: 1 - float(accepted[labels == index].mean()) for index, name in enumerate(classes)}
    figures: dict[str, object] = {
        "boundary_embeddings": len(boundary["labels"]),
        "percentile_among_candidates": float(boundary["among_candidates"].mean()),
        "percentile_among_id": float(boundary["among_id"].mean()),
        "share_within_id": float((boundary["among_id"] < 1).mean()),
        "latents": len(labels),
        "kept": len(verdict["kept"]),
        "rejected_share": rejected,
        "before_gate": judged_shares(posteriors, labels),
        "after_gate": judged_shares(posteriors[accepted], labels[accepted]),
    }
    return rounded(figures)


def rounded(figures: Mapping[str, object]) -> dict[str, object]:
    """Four decimals, at every depth."""
    return {
        key: rounded(value) if isinstance(value, dict) else round(value, 4) if isinstance(value, float) else value
        for key, value in figures.items()
    }


def heading(name: str, figures: Mapping[str, object]) -> str:
    """The shares that tell whether these are outliers."""
    before, after = figures["before_gate"], figures["after_gate"]
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    return (
        f"{name}: intended class {before['intended_share']:.1%} before the gate, {after['intended_share']:.1%} after; "
        f"surely another ID class {before['surely_other_class_share']:.1%}, {after['surely_other_class_share']:.1%}"
    )


def main(command_line: Sequence[str] | None = None) -> None:
    def work(job: stage.Job) -> None:
        arguments = job.arguments
        set_threads(arguments.threads)
        verdict, header = read_tensors(arguments.gate, "images", "labels", "accepted", "kept")
        boundary, _ = read_tensors(arguments.boundary, "labels", "among_candidates", "among_id")
        train, classes = read_images(arguments.train), header["classes"]
        judge = Classifier.load(arguments.judge)
        logits, _ = logits_and_features(judge, verdict["images"], torch.device("cpu"))
        figures = assessed(verdict, boundary, logits.softmax(1).numpy(), classes)
        kept = ImageSet(verdict["images"][verdict["kept"]], verdict["labels"][verdict["kept"]], classes)
        _, nearest = nearest_training_image(kept.images, train.images, SHIFT)
        table, picture = arguments.output
        with job.writing(table) as path:
            path.write_text(json.dumps(figures, indent=1) + "\n")
        with job.writing(picture) as path:
            title = heading(arguments.title, figures)
            draw_gallery(path, kept, train.images[nearest.numpy()], title, "outliers kept, by intended class")
        print(json.dumps(figures))

    parser = stage.parser(__doc__)
    parser.add_argument("--gate", type=Path, required=True, help="what gate wrote")
    parser.add_argument("--boundary", type=Path, required=True, help="what boundary wrote")
    parser.add_argument("--train", type=Path, required=True, help="ID training images")
    parser.add_argument("--judge", type=Path, required=True, help="model trained on real images alone")
    parser.add_argument("--title", default="outliers")
    stage.run(parser, work, command_line)


if __name__ == "__main__":
    main()
