"""Nearest training images against brute force."""

import numpy as np
import pytest

from synthood.generators.quality import nearest


def images(count: int, seed: int, side: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), np.uint8)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sqrt(np.square((a.astype(float) - b.astype(float)) / 127.5).sum()))


@pytest.mark.parametrize("shift", [0, 1])
def test_nearest_training_image_by_brute_force(shift: int) -> None:
    made, training = images(4, 1), images(6, 2)
    padded = np.pad(training, ((0, 0), (shift, shift), (shift, shift), (0, 0)), mode="edge")
    best, index = nearest.nearest_training_image(made, training, shift)
    for position, image in enumerate(made):
        every = {
            (number, top, left): distance(image, bank[top : top + 5, left : left + 5])
            for number, bank in enumerate(padded)
            for top in range(2 * shift + 1)
            for left in range(2 * shift + 1)
        }
        least = min(every, key=lambda key: every[key])
        assert best[position].item() == pytest.approx(every[least], rel=1e-4)
        assert index[position].item() == least[0]


def test_a_moved_copy_is_found_within_the_shift_alone() -> None:
    training = images(6, 3, side=8)
    moved = np.pad(training, ((0, 0), (2, 0), (0, 2), (0, 0)), mode="edge")[:, :8, 2:]
    found, index = nearest.nearest_training_image(moved, training, 2)
    assert found.max() < 0.05
    assert index.tolist() == list(range(6))
    assert nearest.nearest_training_image(moved, training, 1)[0].min() > 1.0


def photographs(count: int, seed: int, side: int = 16) -> np.ndarray:
    """Smooth images, of which blurred versions say something."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 3))
    return np.repeat(np.repeat(coarse, side // 4, 1), side // 4, 2).astype(np.uint8)


def test_candidates_find_what_all_comparisons_find(monkeypatch: pytest.MonkeyPatch) -> None:
    training, queries = photographs(200, 0), photographs(9, 1)
    copies = np.roll(training[[5, 150]], 1, axis=2)
    queries = np.concatenate([queries, copies])
    expected = nearest.nearest_training_image(queries, training, 1)
    monkeypatch.setattr(nearest, "EXACT", 100)
    monkeypatch.setattr(nearest, "CHUNK", 4)
    found, index = nearest.nearest_training_image(queries, training, 1)
    assert index.tolist() == expected[1].tolist()
    assert index[-2:].tolist() == [5, 150]
    assert found.numpy() == pytest.approx(expected[0].numpy(), rel=1e-4)


def test_nearest_of_a_class_stays_in_it() -> None:
    training, labels = images(6, 0), np.array([0, 0, 1, 1, 1, 0])
    queries = training[[2, 0, 5]]
    found, index = nearest.nearest_of_class(queries, np.array([0, 0, 2]), training, labels, 0)
    assert labels[index[0]] == 0  # its copy is of class 1
    assert found[0] > 1
    assert (index[1].item(), index[2].item()) == (0, -1)
    assert found[1] < 0.05
    assert np.isinf(found[2].item())
