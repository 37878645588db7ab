"""A public ResNet-56 on real CIFAR-10 through import, extract and score: the figures that are known of it."""

import io
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from checkouts import PROJECT
from command_lines import writing
from synthood.common.images import ImageSet, write_images
from synthood.evaluation import extract, score
from synthood.evaluation.settings import ScoreSettings
from synthood.training import import_checkpoint
from synthood.training.networks.checkpoint_settings import CheckpointRecipe
from synthood.training.networks.import_settings import ImportSettings

IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


@pytest.fixture(scope="module")
def shared() -> Path:
    """The folder of real data, which may not be redistributed, so most checkouts lack it."""
    place = Path(os.environ.get("SYNTHOOD_SHARED_DATA", PROJECT.parent / "shared" / "data"))
    if not (place / "cifar10_resnet56.pt").is_file():
        pytest.skip(f"no real data at {place} (SYNTHOOD_SHARED_DATA names its folder)")
    return place


def decoded(file: Path, step: int = 1) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Every `step`-th image of a file of encoded ones, labels and class names."""
    with np.load(file) as blob:
        data, ends, labels = blob["data"].tobytes(), blob["offsets"].tolist(), blob["labels"].astype(np.int64)
        classes = blob["classes"].tolist()
    pixels = [
        np.asarray(Image.open(io.BytesIO(data[ends[i] : ends[i + 1]])).convert("RGB"))
        for i in range(0, len(labels), step)
    ]
    return np.stack(pixels), labels[::step], classes


@pytest.fixture(scope="module")
def files(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """All CIFAR-10 test images and every second of CIFAR-100, as a workflow's jobs have them."""
    images, labels, classes = decoded(shared / "cifar10_test.webp.npz")
    sets = {"test": ImageSet(images, labels, classes), "val": ImageSet(images[:50], labels[:50], classes)}
    sets["train"] = sets["val"]  # msp and energy learn nothing from it
    sets["cifar100"] = ImageSet.out_of_distribution(decoded(shared / "cifar100_test.webp.npz", 2)[0])
    folder = tmp_path_factory.mktemp("images")
    for part, one in sets.items():
        write_images(folder / f"{part}.safetensors", one)
    return {part: folder / f"{part}.safetensors" for part in sets}


def test_known_figures(shared: Path, files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    recipe = {"kind": "checkpoint", "path": str(shared / "cifar10_resnet56.pt")} | IMAGENET
    recipe["network"] = {"name": "resnet56", "shortcut": "padded"}
    settings = ImportSettings(recipe=CheckpointRecipe.model_validate(recipe)).canonical()
    model = [str(tmp_path / name) for name in ("model.safetensors", "history.csv", "heads.safetensors")]
    import_checkpoint.main(
        ["--settings", settings, "--val", str(files["val"]), *writing(import_checkpoint.main, model)]
    )
    features = str(tmp_path / "features")
    extract.main(["--model", model[0], "--images", *map(str, files.values()), "--output", features])
    asked = {"msp": {"kind": "msp"}, "energy": {"kind": "energy"}}
    settings = ScoreSettings.model_validate({"detectors": asked, "near": ["cifar100"], "far": ["cifar100"]}).canonical()
    scored = [str(tmp_path / name) for name in ("scores.parquet", "metrics.csv", "search.csv")]
    score.main(["--settings", settings, "--features", features, *writing(score.main, scored)])
    found = pd.read_csv(scored[1], keep_default_na=False).set_index(["detector", "set", "metric"])["value"]
    assert found["", "test", "id_accuracy"] == pytest.approx(93.39, abs=0.02)
    assert found["msp", "cifar100", "auroc"] == pytest.approx(86.2, abs=0.3)
    assert found["energy", "cifar100", "auroc"] == pytest.approx(87.3, abs=0.3)
