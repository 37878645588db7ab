"""Figures of synthetic images against brute force."""

import io
import itertools

import numpy as np
import pytest
import torch

from synthood.generators.quality import diversity, measures


def images(count: int, seed: int, side: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), np.uint8)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sqrt(np.square((a.astype(float) - b.astype(float)) / 127.5).sum()))


def test_agreement_by_hand() -> None:
    logits = torch.tensor([[2.0, 1.0], [0.0, 1.0], [3.0, 0.0], [5.0, 4.0]])
    assert measures.agreement(logits, torch.tensor([0, 1, 1, 0])) == 0.75


def test_within_class_distance_by_brute_force() -> None:
    """Unweighted over classes; a class of one image has no distance."""
    made, labels = images(8, 0), np.array([0, 0, 0, 0, 1, 1, 1, 2])
    means = []
    for label in (0, 1):
        own = made[labels == label]
        means.append(np.mean([distance(a, b) for a, b in itertools.combinations(own, 2)]))
    assert measures.within_class_distance(made, labels) == pytest.approx(np.mean(means), rel=1e-5)


def test_the_first_images_of_a_class_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    made, labels = images(9, 4), np.array([0, 1, 0, 0, 1, 0, 1, 1, 0])
    monkeypatch.setattr(diversity, "COMPARED", 3)
    expected = [
        np.mean([distance(a, b) for a, b in itertools.combinations(made[labels == label][:3], 2)]) for label in (0, 1)
    ]
    assert diversity.class_distances(made, labels, 3)[:2] == pytest.approx(expected, rel=1e-5)
    assert np.isnan(diversity.class_distances(made, labels, 3)[2])


def test_copy_share_by_hand() -> None:
    """The 1st percentile of 0, 1, ..., 100 is 1; equal distances are no copies."""
    held_out = torch.arange(101.0)
    assert measures.copy_share(torch.tensor([0.5, 0.99, 1.0, 50.0]), held_out) == 0.5
    assert measures.copy_share(held_out + 2, held_out) == 0.0


def test_judged_shares_by_hand() -> None:
    """Five images of class 0: kept, kept barely, another surely, another unsurely, another at the bound itself."""
    posteriors = np.array([[0.95, 0.03, 0.02], [0.4, 0.3, 0.3], [0.04, 0.95, 0.01], [0.2, 0.3, 0.5], [0.1, 0.0, 0.9]])
    found = measures.judged_shares(posteriors, np.zeros(5, np.int64))
    assert found == {"intended_share": 0.4, "other_class_share": 0.6, "surely_other_class_share": 0.2}
    turned = measures.judged_shares(posteriors, np.array([1, 1, 1, 2, 2]))
    assert turned == {"intended_share": 0.6, "other_class_share": 0.4, "surely_other_class_share": 0.2}


def test_judged_shares_of_no_images_are_no_numbers() -> None:
    found = measures.judged_shares(np.zeros((0, 3), np.float32), np.zeros(0, np.int64))
    assert found.keys() == {"intended_share", "other_class_share", "surely_other_class_share"}
    assert all(np.isnan(value) for value in found.values())


def test_block_traces_by_hand() -> None:
    """Steps of 2 to the right and 1 down, four times as large across the borders of blocks."""
    right, down = np.full(23, 2), np.full(15, 1)
    right[[7, 15]] *= 4
    down[7] *= 4
    rows, columns = np.cumsum([0, *down]), np.cumsum([0, *right])
    one = (rows[:, None] + columns[None, :])[None, :, :, None].repeat(3, 3).astype(np.uint8)
    across, inside = np.mean([4, 8]), np.mean([1, 2])
    assert measures.block_traces(one) == pytest.approx(across / inside)
    assert measures.block_traces(255 - one) == pytest.approx(across / inside)


def test_block_traces_are_those_of_jpeg() -> None:
    from PIL import Image

    smooth = np.random.default_rng(0).normal(size=(20, 5, 5, 3)).cumsum(1).cumsum(2) * 40 + 128
    plain = [
        Image.fromarray(one).resize((32, 32), Image.Resampling.BICUBIC) for one in smooth.clip(0, 255).astype(np.uint8)
    ]
    compressed = []
    for one in plain:
        stream = io.BytesIO()
        one.save(stream, "JPEG", quality=30)
        compressed.append(np.asarray(Image.open(stream)))
    before = measures.block_traces(np.stack([np.asarray(one) for one in plain]))
    assert before == pytest.approx(1, abs=0.15)
    assert measures.block_traces(np.stack(compressed)) > before + 0.3


def test_block_traces_of_one_block_or_one_colour_are_no_numbers() -> None:
    assert np.isnan(measures.block_traces(images(2, 0, side=8)))
    assert np.isnan(measures.block_traces(np.zeros((2, 16, 16, 3), np.uint8)))
