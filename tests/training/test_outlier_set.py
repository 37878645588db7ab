"""Outliers from the four files that the stages wrote."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from synthood.common.tensors import Arrays, write_tensors
from synthood.errors import SynthoodError
from synthood.training.outlier_set import OutlierSet

LABELS = np.array([0, 1, 0, 1, 1], dtype=np.int64)
NAMES = ["embeddings", "boundary", "latents", "gate"]
Files = dict[str, Arrays]


@pytest.fixture
def files() -> Files:
    random = np.random.default_rng(0)

    def drawn(*shape: int) -> np.ndarray:
        return random.normal(size=shape).astype(np.float32)

    return {
        "embeddings": {"embeddings": drawn(5, 3), "labels": LABELS},
        "boundary": {"embeddings": drawn(4, 3), "labels": np.array([0, 0, 1, 1]), "parents": np.array([0, 0, 1, 3])},
        "latents": {
            "latents": drawn(6, 4, 2, 2),
            "labels": np.array([0, 0, 0, 1, 1, 1]),
            "id_latents": drawn(5, 4, 2, 2),
            "parents": np.array([0, 1, 0, 2, 3, 2]),
        },
        "gate": {"kept": np.array([1, 5, 3]), "accepted": np.array([False, True, False, True, False, True])},
    }


def written(files: Files, folder: Path) -> list[Path]:
    paths = [folder / f"{name}.safetensors" for name in NAMES]
    for path, name in zip(paths, NAMES, strict=True):
        write_tensors(path, files[name], {"classes": ["cat", "dog"]})
    return paths


def test_both_spaces_hold_what_the_files_hold(files: Files, tmp_path: Path) -> None:
    found = OutlierSet.read(*written(files, tmp_path), LABELS)
    assert np.array_equal(found.token.id, files["embeddings"]["embeddings"])
    assert np.array_equal(found.token.outliers, files["boundary"]["embeddings"])
    assert found.token.outlier_labels.tolist() == [0, 0, 1, 1]
    assert np.array_equal(found.latent.id, files["latents"]["id_latents"])
    for space in (found.token, found.latent):
        assert space.id_labels.tolist() == LABELS.tolist()
        assert space.id.dtype == space.outliers.dtype == torch.float32
        assert space.id_labels.dtype == space.outlier_labels.dtype == torch.int64


def test_the_latents_that_the_gate_kept_are_taken(files: Files, tmp_path: Path) -> None:
    found = OutlierSet.read(*written(files, tmp_path), LABELS).latent
    assert np.array_equal(found.outliers, files["latents"]["latents"][[1, 5, 3]])
    assert found.outlier_labels.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("embeddings", {"labels": LABELS[::-1].copy()}, "made of other training images; delete it and run again"),
        ("embeddings", {"labels": LABELS[:4]}, "made of 4 images, but there are 5 training images"),
        ("latents", {"id_latents": np.zeros((7, 4, 2, 2), np.float32)}, "made of 7 images, but there are 5 training"),
    ],
)
def test_files_of_other_training_images_are_named(
    files: Files, tmp_path: Path, name: str, change: dict[str, Any], message: str
) -> None:
    files[name] |= change
    paths = written(files, tmp_path)
    with pytest.raises(SynthoodError, match=f"{name}.safetensors: {message}"):
        OutlierSet.read(*paths, LABELS)


def test_a_file_of_another_stage_is_named(files: Files, tmp_path: Path) -> None:
    paths = written(files, tmp_path)
    with pytest.raises(SynthoodError, match=r"boundary\.safetensors: not a file that this stage reads"):
        OutlierSet.read(paths[0], paths[1], paths[1], paths[3], LABELS)
    del files["latents"]["id_latents"]
    with pytest.raises(SynthoodError, match=r"latents\.safetensors: not a file that this stage reads"):
        OutlierSet.read(*written(files, tmp_path), LABELS)
