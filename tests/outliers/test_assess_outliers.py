"""Figures of outliers: by hand, and the stage from small files."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from command_lines import writing
from synthood.common.images import ImageSet
from synthood.common.json import finite_json
from synthood.common.tensors import Arrays, write_tensors
from synthood.outliers import assess_outliers
from synthood.outliers.assess_outliers import assessed, heading
from synthood.outliers.manifold_shares import manifold_figures
from synthood.training.networks.model import Classifier, logits_and_features

CLASSES = ["cat", "dog"]
BOUNDARY: Arrays = {
    "labels": np.array([0, 0, 1, 1]),
    "among_candidates": np.array([1.0, 0.9975, 0.995, 1.0], np.float32),
    "among_id": np.array([0.5, 1.0, 0.75, 1.0], np.float32),
}


@pytest.fixture
def verdict() -> Arrays:
    """Three latents of cats, of which two are accepted, and two of dogs, of which one is."""
    return {
        "labels": np.array([0, 0, 0, 1, 1]),
        "accepted": np.array([True, False, True, False, True]),
        "kept": np.array([0, 4]),
        "distance": np.array([0.9, 0.1, 0.5, 0.3, 0.7], np.float32),
        "id_distance": np.linspace(0, 0.4, 21, dtype=np.float32),
        "images": np.random.default_rng(1).integers(0, 256, (5, 16, 16, 3), np.uint8),
    }


def test_figures_by_hand(verdict: Arrays) -> None:
    """The judge: a dog surely, a cat, a cat, a dog, a cat unsurely."""
    posteriors = np.array([[0.05, 0.95], [0.99, 0.01], [0.6, 0.4], [0.2, 0.8], [0.7, 0.3]])
    validation = np.array([[0.97, 0.03]] * 19 + [[0.5, 0.5]])  # 95 % of them are at least 0.97 sure
    assert finite_json(assessed(verdict, BOUNDARY, posteriors, validation, CLASSES)) == {
        "boundary_embeddings": 4,
        "percentile_among_candidates": 0.998125,
        "percentile_among_id": 0.8125,
        "share_within_id": 0.5,
        "latents": 5,
        "kept": 2,
        "rejected_share": {"cat": 0.333333, "dog": 0.5},
        "distance": {
            "id": {"p5": 0.02, "p50": 0.2, "p95": 0.38},
            "rejected": {"p5": 0.11, "p50": 0.2, "p95": 0.29},
            "accepted": {"p5": 0.52, "p50": 0.7, "p95": 0.88},
        },
        "before_gate": {
            "intended_share": 0.6,
            "other_class_share": 0.4,
            "surely_other_class_share": 0.2,
            "called_id_share": 0.2,
        },
        "after_gate": {
            "intended_share": 0.333333,
            "other_class_share": 0.666667,
            "surely_other_class_share": 0.333333,
            "called_id_share": 0.0,
        },
    }


def test_tokens_have_shares_of_the_manifolds_instead(verdict: Arrays) -> None:
    """Two held-out images, one inside its class; three outliers, two of them outside all classes."""
    tails: Arrays = {
        "labels": np.array([0, 0, 1]),
        "held_out": np.array([[1.0, 5.0], [3.0, 3.0]]),
        "held_out_labels": np.array([0, 1]),
        "distances": np.array([[4.0, 4.0], [4.0, 1.0], [4.0, 4.0]]),
        "edge": np.array([2.0]),
        "quantile": np.array([0.95]),
        "held_out_word_loss": np.full(2, 0.25, np.float32),
        "held_out_token_loss": np.full(2, 0.125, np.float32),
    }
    figures = assessed(verdict, tails, np.full((5, 2), 0.5), np.full((3, 2), 0.5), CLASSES)
    assert figures["manifolds"] == manifold_figures(tails)
    manifolds = figures["manifolds"]
    assert isinstance(manifolds, dict)
    assert [manifolds[key]["share"] for key in ("held_out_inside", "outliers_outside_all")] == [0.5, 2 / 3]
    assert figures["boundary_embeddings"] == 3
    assert not {"percentile_among_candidates", "share_within_id"} & figures.keys()


def test_nothing_accepted_is_no_number(verdict: Arrays) -> None:
    verdict |= {"accepted": np.zeros(5, bool), "kept": np.zeros(0, np.int64)}
    figures = assessed(verdict, BOUNDARY, np.full((5, 2), 0.5), np.full((3, 2), 0.5), CLASSES)
    assert figures["rejected_share"] == {"cat": 1.0, "dog": 1.0}
    after = figures["after_gate"]
    assert isinstance(after, dict)
    assert all(math.isnan(value) for value in after.values())


def test_heading_tells_the_shares_before_and_after_the_gate() -> None:
    figures = {
        "before_gate": {"intended_share": 0.6, "surely_other_class_share": 0.25, "called_id_share": 0.5},
        "after_gate": {"intended_share": 0.012, "surely_other_class_share": 0.0, "called_id_share": 0.125},
    }
    assert heading("oal", figures) == (
        "oal: intended class 60.0% before the gate, 1.2% after; surely another ID class 25.0%, 0.0%; "
        "called ID 50.0%, 12.5%"
    )


def test_the_heading_of_no_accepted_outlier_has_dashes() -> None:
    before = {"intended_share": 0.6, "surely_other_class_share": 0.25, "called_id_share": 0.5}
    figures = {"before_gate": before, "after_gate": dict.fromkeys(before, math.nan)}
    assert heading("oal", figures) == (
        "oal: intended class 60.0% before the gate, – after; surely another ID class 25.0%, –; called ID 50.0%, –"
    )


PUSHED: Arrays = {
    "labels": np.array([0, 0, 1, 1]),
    "steps": np.array([1, 3, 2, 2]),
    "among_id": np.array([0.5, 1.0, 0.75, 1.0], np.float32),
    "probe": np.array([1, 0, 0, 0]),
    "probe_of_id": np.array([0, 0, 1, 1, 0]),
    "id_labels": np.array([0, 0, 0, 1, 1]),
}


def test_crossing_by_hand(verdict: Arrays) -> None:
    """Of four embeddings the probe sees three across; of five images, the judge the first and the last."""
    posteriors = np.array([[0.05, 0.95], [0.99, 0.01], [0.6, 0.4], [0.2, 0.8], [0.7, 0.3]])
    validation, labels = np.array([[0.9, 0.1]] * 8), np.array([0] * 7 + [1])
    found = assessed(verdict, PUSHED, posteriors, validation, CLASSES, labels)
    assert found["crossed"] == {
        "embeddings": 0.75,
        "id_embeddings": 0.4,
        "images": 0.4,
        "accepted_images": 2 / 3,
        "id_images": 0.125,
    }
    assert "percentile_among_candidates" not in found
    assert finite_json(found)["steps_to_cross"] == {"p5": 1.15, "p50": 2.0, "p95": 2.85}
    assert heading("bood", found) == (
        "bood: intended class 60.0% before the gate, 33.3% after; surely another ID class 20.0%, 33.3%; called ID "
        "40.0%, 33.3%\nanother class for a second classifier 75.0% of embeddings, 40.0% of images"
    )
    verdict |= {"accepted": np.zeros(5, bool)}
    nothing = assessed(verdict, PUSHED, posteriors, validation, CLASSES, labels)["crossed"]
    assert isinstance(nothing, dict)
    assert math.isnan(nothing["accepted_images"])


def no_constant(name: str) -> float:
    raise AssertionError(f"{name} is not JSON")


@pytest.mark.parametrize("accepts", ["some", "all", "none"])
def test_the_stage_writes_figures_and_gallery(
    accepts: str,
    verdict: Arrays,
    judge: Classifier,
    judge_file: Path,
    train_images: ImageSet,
    train_file: Path,
    tmp_path: Path,
) -> None:
    verdict["accepted"] |= accepts == "all"
    if accepts == "none":
        verdict |= {"accepted": np.zeros(5, bool), "kept": np.zeros(0, np.int64)}
    write_tensors(tmp_path / "gate", verdict, {"classes": CLASSES})
    write_tensors(tmp_path / "boundary", BOUNDARY, {"classes": CLASSES})
    outputs = [tmp_path / "assessment.json", tmp_path / "gallery.png"]
    arguments = {
        "gate": tmp_path / "gate",
        "boundary": tmp_path / "boundary",
        "train": train_file,
        "val": train_file,
        "judge": judge_file,
        "title": "oal",
    }
    line = [part for key, value in arguments.items() for part in (f"--{key}", str(value))]
    assess_outliers.main([*line, *writing(assess_outliers.main, outputs)])
    logits, _ = logits_and_features(judge, verdict["images"], torch.device("cpu"))
    known, _ = logits_and_features(judge, train_images.images, torch.device("cpu"))
    expected = assessed(verdict, BOUNDARY, logits.softmax(1).numpy(), known.softmax(1).numpy(), CLASSES)
    found = json.loads(outputs[0].read_text(), parse_constant=no_constant)
    assert found == finite_json(expected)
    assert (found["distance"]["rejected"]["p50"] is None) == (accepts == "all")
    assert (found["after_gate"]["called_id_share"] is None) == (accepts == "none")
    with Image.open(outputs[1]) as picture:
        assert picture.format == "PNG"
        assert picture.width > 500
