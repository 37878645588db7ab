"""Stage `assess_outliers`: what a judge without part in the gate makes of the outliers, as figures and a gallery."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import torch

from synthood.common import stage
from synthood.common.command import Output
from synthood.common.devices import set_threads
from synthood.common.images import ImageSet, open_images, read_images
from synthood.common.json import finite_json
from synthood.common.tensors import Arrays, read_tensors
from synthood.generators.quality.measures import judged_shares
from synthood.generators.quality.nearest import nearest_training_image
from synthood.outliers.manifold_shares import manifold_figures
from synthood.reporting.gallery import draw_gallery
from synthood.training.networks.model import Classifier, logits_and_features

SHIFT = 3
PERCENTILES = (5, 50, 95)
CALLED_ID = 0.95
"""Share of ID validation images that the judge must call ID, which sets how sure it has to be."""


def spread(values: np.ndarray) -> dict[str, float]:
    """Percentiles of values; nan where there are none."""
    found = np.percentile(values, PERCENTILES) if len(values) else np.full(len(PERCENTILES), np.nan)
    return {f"p{percent}": float(value) for percent, value in zip(PERCENTILES, found, strict=True)}


def called_id(posteriors: np.ndarray, validation: np.ndarray) -> float:
    """Share of posteriors [N,C] as sure as those [V,C] of at least 95 % of the ID validation images."""
    if len(posteriors) == 0:
        return float("nan")
    surest = np.sort(validation.max(1))
    bound = surest[math.floor((1 - CALLED_ID) * len(surest) + 1e-9)]
    return float((posteriors.max(1) >= bound).mean())


def where_they_lie(boundary: Arrays) -> dict[str, object]:
    """Of boundary embeddings among candidates and ID embeddings; of tokens, outside the classes' manifolds."""
    if "held_out" in boundary:
        return {"manifolds": manifold_figures(boundary)}
    return {
        "percentile_among_candidates": float(boundary["among_candidates"].mean()),
        "percentile_among_id": float(boundary["among_id"].mean()),
        "share_within_id": float((boundary["among_id"] < 1).mean()),
    }


def assessed(
    verdict: Arrays, boundary: Arrays, posteriors: np.ndarray, validation: np.ndarray, classes: list[str]
) -> dict[str, object]:
    """Figures of the selection, of the gate, and of the judge before and after it.

    posteriors [N,C] of the judge on the decoded outliers, `validation` [V,C] on ID validation images.
    """
    labels, accepted = verdict["labels"], verdict["accepted"]
    rejected = {name: 1 - float(accepted[labels == index].mean()) for index, name in enumerate(classes)}
    figures: dict[str, object] = {
        "boundary_embeddings": len(boundary["labels"]),
        **where_they_lie(boundary),
        "latents": len(labels),
        "kept": len(verdict["kept"]),
        "rejected_share": rejected,
        "distance": {
            "id": spread(verdict["id_distance"]),
            "rejected": spread(verdict["distance"][~accepted]),
            "accepted": spread(verdict["distance"][accepted]),
        },
    }
    for name, chosen in (("before_gate", np.ones_like(accepted)), ("after_gate", accepted)):
        shares = judged_shares(posteriors[chosen], labels[chosen])
        figures[name] = {**shares, "called_id_share": called_id(posteriors[chosen], validation)}
    return figures


def heading(name: str, figures: Mapping[str, object]) -> str:
    """The shares that tell whether these are outliers."""
    before, after = figures["before_gate"], figures["after_gate"]
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    keys = ("intended_share", "surely_other_class_share", "called_id_share")
    shown = ([f"{of[key]:.1%}" if of[key] == of[key] else "–" for of in (before, after)] for key in keys)
    intended, other, called = shown
    return (
        f"{name}: intended class {intended[0]} before the gate, {intended[1]} after; "
        f"surely another ID class {', '.join(other)}; called ID {', '.join(called)}"
    )


@stage.Stage
def main(
    job: stage.Job,
    threads: int,
    gate: Annotated[Path, "what gate wrote"],
    boundary: Annotated[Path, "what boundary or tails wrote"],
    train: Annotated[Path, "ID training images"],
    val: Annotated[Path, "ID validation images"],
    judge: Annotated[Path, "model trained on real images alone"],
    figures: Output,
    gallery: Output,
    title: str = "outliers",
) -> None:
    set_threads(threads)
    verdict, header = read_tensors(gate, "images", "labels", "accepted", "kept", "distance", "id_distance")
    found, _ = read_tensors(boundary)
    real, classes = read_images(train), header["classes"]
    classifier = Classifier.load(judge)
    posteriors, validation = (
        logits_and_features(classifier, images, torch.device("cpu"))[0].softmax(1).numpy()
        for images in (verdict["images"], open_images(val)[0])
    )
    assessment = assessed(verdict, found, posteriors, validation, classes)
    kept = ImageSet(verdict["images"][verdict["kept"]], verdict["labels"][verdict["kept"]], classes)
    _, nearest = nearest_training_image(kept.images, real.images, SHIFT)
    with job.writing(figures) as path:
        path.write_text(json.dumps(finite_json(assessment), indent=1, allow_nan=False) + "\n")
    with job.writing(gallery) as path:
        above = heading(title, assessment)
        draw_gallery(path, kept, real.images[nearest.numpy()], above, "outliers kept, by intended class")
    print(json.dumps(finite_json(assessment)))


if __name__ == "__main__":
    main()
