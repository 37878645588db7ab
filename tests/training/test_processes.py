"""Two processes train as one does: the same batches, the statistics of the whole batch, the same losses."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from processes import started, torchrun
from synthood.common.images import ImageSet, write_images
from synthood.common.tensors import read_tensors
from synthood.training.methods.attributed_outliers import AttributedOutliers
from synthood.training.methods.mixing import CutMix
from synthood.training.methods.rotation import Rotation
from synthood.training.methods.supervised_contrast import Cider
from synthood.training.methods.virtual_outliers import VirtualOutliers
from synthood.training.settings import Synthetic

NAMES = ["model.safetensors", "history.csv", "heads.safetensors"]
RECIPES: dict[str, dict[str, Any]] = {
    "sio": {
        "synthetic": Synthetic.model_validate({"from": "g", "alpha": 0.7}),
        "mixing": CutMix(kind="cutmix"),
        "weight_average": 0.5,
    },
    "terms": {
        "contrastive": Cider(kind="cider"),
        "rotation": Rotation(),
        "virtual_outliers": VirtualOutliers(start=0.0, queue=2),
        "attributed_outliers": AttributedOutliers(strength=1.0),
    },
}


@pytest.fixture
def line(make_images: Any, tmp_path: Path) -> list[str]:
    """What the stage reads, but for its settings; 15 images, so that the second of two batches is shorter."""
    for name, count in (("train", 15), ("val", 9), ("synthetic", 7)):
        images: ImageSet = make_images(count, count)
        write_images(tmp_path / name, images)
    return ["--seed", "0", "--train", str(tmp_path / "train"), "--val", str(tmp_path / "val")]


def arguments(line: list[str], folder: Path, settings: str) -> list[str]:
    return [*line, "--settings", settings, *(f"--{Path(name).stem}={folder / name}" for name in NAMES)]


@pytest.mark.parametrize("name", RECIPES)
def test_two_processes_give_the_losses_of_one(line: list[str], make_settings: Any, tmp_path: Path, name: str) -> None:
    settings = make_settings(learning_rate=0.02, **RECIPES[name]).canonical()
    if "synthetic" in RECIPES[name]:
        line = [*line, "--synthetic", str(tmp_path / "synthetic")]
    alone = started(arguments(line, tmp_path / "one", settings), tmp_path / "one.log")
    codes = torchrun(arguments(line, tmp_path / "two", settings), tmp_path)
    alone.join()
    assert alone.exitcode == 0, (tmp_path / "one.log").read_text()
    assert codes == [0, 0], (tmp_path / "0.log").read_text() + (tmp_path / "1.log").read_text()
    one, two = (pd.read_csv(tmp_path / folder / "history.csv") for folder in ("one", "two"))
    assert list(one) == list(two)
    for column in one:
        np.testing.assert_allclose(two[column], one[column], atol=1e-4, rtol=1e-4, err_msg=column)
    weights, _ = read_tensors(tmp_path / "one" / "model.safetensors")
    others, _ = read_tensors(tmp_path / "two" / "model.safetensors")
    assert weights.keys() == others.keys()
    for key, value in weights.items():
        np.testing.assert_allclose(others[key], value, atol=1e-3, err_msg=key)
    assert (tmp_path / "1.log").read_text() == ""


def test_two_processes_decode_halves_and_resume(
    line: list[str], make_images: Any, make_settings: Any, tmp_path: Path
) -> None:
    """Images stay on disk; where the end failed, the same command goes on, to the bytes of one that did not fail."""
    for name in ("train", "val"):
        write_images(tmp_path / name, make_images(200, 0, side=32))
    settings = make_settings(epochs=1, batch_size=100).canonical()
    saving = [*line, "--save-seconds", "0", "--memory", "1"]
    assert torchrun(arguments(saving, tmp_path / "whole", settings), tmp_path) == [0, 0]
    assert "are decoded as they are needed" in (tmp_path / "0.log").read_text()
    resumable = [*arguments(saving, tmp_path / "again", settings), "--resume", str(tmp_path / "state")]
    (tmp_path / "again" / "model.safetensors" / "thing").mkdir(parents=True)  # in whose place nothing can be written
    assert torchrun(resumable, tmp_path)[0] == 1
    assert (tmp_path / "state" / "history.csv").exists()
    (tmp_path / "again" / "model.safetensors" / "thing").rmdir()
    (tmp_path / "again" / "model.safetensors").rmdir()
    assert torchrun(resumable, tmp_path) == [0, 0]
    assert "resumed at step 2 of 2" in (tmp_path / "0.log").read_text()
    for name in NAMES:
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_batch_that_cannot_be_shared_is_told(line: list[str], make_settings: Any, tmp_path: Path) -> None:
    settings = make_settings(batch_size=14).canonical()
    assert torchrun(arguments(line, tmp_path / "out", settings), tmp_path) == [1, 1]
    told = (tmp_path / "0.log").read_text()
    assert "error: a batch of 1 images cannot be shared by 2 devices; take another batch_size, or fewer" in told
