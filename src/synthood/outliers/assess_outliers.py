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
    """Of embeddings, among the candidates that they were chosen from, or the steps to get there, and ID embeddings.

    Of tokens, outside the classes' manifolds.
    """
    count = {"boundary_embeddings": len(boundary["labels"])}
    if "held_out" in boundary:
        return {**count, "manifolds": manifold_figures(boundary)}
    chosen_by = (
        {"percentile_among_candidates": float(boundary["among_candidates"].mean())}
        if "among_candidates" in boundary
        else {"steps_to_cross": spread(boundary["steps"])}
    )
    return {
        **count,
        **chosen_by,
        "percentile_among_id": float(boundary["among_id"].mean()),
        "share_within_id": float((boundary["among_id"] < 1).mean()),
    }


def assessed(
    verdict: Arrays,
    boundary: Arrays | None,
    posteriors: np.ndarray,
    validation: np.ndarray,
    classes: list[str],
    validation_labels: np.ndarray | None = None,
) -> dict[str, object]:
    """Figures of the selection, of the gate, and of the judge before and after it.

    posteriors [N,C] of the judge on the decoded outliers, `validation` [V,C] on ID validation images, whose labels
    int64 [V] are needed where embeddings were pushed across the boundary.
    """
    labels, accepted = verdict["labels"], verdict["accepted"]
    rejected = {name: 1 - float(accepted[labels == index].mean()) for index, name in enumerate(classes)}
    figures: dict[str, object] = {
        **(where_they_lie(boundary) if boundary else {}),
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
    if boundary and "probe" in boundary and validation_labels is not None:
        figures["crossed"] = crossed(verdict, boundary, posteriors, validation, validation_labels)
    return figures


def crossed(
    verdict: Arrays, boundary: Arrays, posteriors: np.ndarray, validation: np.ndarray, validation_labels: np.ndarray
) -> dict[str, float]:
    """Shares that a second classifier gives another class: a probe of embeddings, the judge of decoded images.

    The shares of ID embeddings and ID validation images are what each of the two does without any push.
    """
    other = posteriors.argmax(1) != verdict["labels"]
    return {
        "embeddings": float((boundary["probe"] != boundary["labels"]).mean()),
        "id_embeddings": float((boundary["probe_of_id"] != boundary["id_labels"]).mean()),
        "images": float(other.mean()),
        "accepted_images": float(other[verdict["accepted"]].mean()) if verdict["accepted"].any() else float("nan"),
        "id_images": float((validation.argmax(1) != validation_labels).mean()),
    }


def heading(name: str, figures: Mapping[str, object]) -> str:
    """The shares that tell whether these are outliers."""
    before, after = figures["before_gate"], figures["after_gate"]
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    keys = ("intended_share", "surely_other_class_share", "called_id_share")
    shown = ([f"{of[key]:.1%}" if of[key] == of[key] else "–" for of in (before, after)] for key in keys)
    intended, other, called = shown
    crossing, of_crossing = figures.get("crossed"), ""
    if isinstance(crossing, dict):
        across = (f"{crossing[key]:.1%} of {key}" for key in ("embeddings", "images"))
        of_crossing = f"\nanother class for a second classifier {', '.join(across)}"
    return (
        f"{name}: intended class {intended[0]} before the gate, {intended[1]} after; "
        f"surely another ID class {', '.join(other)}; called ID {', '.join(called)}{of_crossing}"
    )


@stage.Stage
def main(
    job: stage.Job,
    threads: int,
    gate: Annotated[Path, "what gate wrote"],
    train: Annotated[Path, "ID training images"],
    val: Annotated[Path, "ID validation images"],
    judge: Annotated[Path, "model trained on real images alone"],
    figures: Output,
    gallery: Output,
    boundary: Annotated[
        Path | None, "what boundary, crossing or tails wrote; none where outliers come from plain prompts"
    ] = None,
    title: str = "outliers",
) -> None:
    set_threads(threads)
    verdict, header = read_tensors(gate, "images", "labels", "accepted", "kept", "distance", "id_distance")
    found = read_tensors(boundary)[0] if boundary else None
    real, known, classes = read_images(train), open_images(val), header["classes"]
    classifier = Classifier.load(judge)
    posteriors, validation = (
        logits_and_features(classifier, images, torch.device("cpu"))[0].softmax(1).numpy()
        for images in (verdict["images"], known[0])
    )
    assessment = assessed(verdict, found, posteriors, validation, classes, known[1])
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
