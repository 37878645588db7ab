"""A month of real CIFAR-10 images for a public ResNet-20, into which CIFAR-100 comes on the 16th day."""

import io
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from checkouts import PROJECT
from command_lines import writing
from synthood.common.identity import MANIFEST, sha256
from synthood.common.images import ImageSet, write_images
from synthood.deploy.export import export, split_calibrated
from synthood.deploy.inputs import Preprocessing
from synthood.deploy.predictor import Predictor, features_of
from synthood.deploy.score import write_parquet
from synthood.evaluation.detectors.logits import Energy
from synthood.evaluation.features import Reference
from synthood.monitor.monitor import ALARM, MonitorOptions, monitor
from synthood.training import import_checkpoint
from synthood.training.networks.checkpoint_settings import CheckpointRecipe
from synthood.training.networks.import_settings import ImportSettings
from synthood.training.networks.model import Classifier

CALIBRATION, DAYS, IMAGES, UNKNOWN = 600, 30, 50, 30
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


@pytest.fixture(scope="module")
def shared() -> Path:
    place = Path(os.environ.get("SYNTHOOD_SHARED_DATA", PROJECT.parent / "shared" / "data"))
    if not (place / "cifar10_resnet20.pt").is_file():
        pytest.skip(f"no real data at {place} (SYNTHOOD_SHARED_DATA names its folder)")
    return place


def decoded(file: Path, count: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The first images of a file of encoded ones, labels and class names."""
    with np.load(file) as blob:
        data, ends, labels = blob["data"].tobytes(), blob["offsets"].tolist(), blob["labels"].astype(np.int64)
        classes = blob["classes"].tolist()
    pixels = [np.asarray(Image.open(io.BytesIO(data[ends[i] : ends[i + 1]])).convert("RGB")) for i in range(count)]
    return np.stack(pixels), labels[:count], classes


@pytest.fixture(scope="module")
def predictor(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Predictor, np.ndarray]:
    """The exported detector, and known images that have not calibrated it."""
    place = tmp_path_factory.mktemp("month")
    images, labels, classes = decoded(shared / "cifar10_test.webp.npz", CALIBRATION + DAYS * IMAGES)
    write_images(place / "val.safetensors", ImageSet(images[:50], labels[:50], classes))
    recipe = {"kind": "checkpoint", "path": str(shared / "cifar10_resnet20.pt")} | IMAGENET
    recipe["network"] = {"name": "resnet20", "shortcut": "padded"}
    settings = ImportSettings(recipe=CheckpointRecipe.model_validate(recipe)).canonical()
    model = [str(place / name) for name in ("model.safetensors", "history.csv", "heads.safetensors")]
    made = writing(import_checkpoint.main, model)
    import_checkpoint.main(["--settings", settings, "--val", str(place / "val.safetensors"), *made])
    classifier = Classifier.load(Path(model[0]))
    features = features_of(classifier, images[:CALIBRATION], torch.device("cpu"))
    head = classifier.network.head
    reference = Reference(features, features, head.weight.detach(), head.bias.detach())
    calibrated = split_calibrated(Energy().fit(reference), features)
    exported = export(place / "detector", classifier, calibrated, Preprocessing(32, 32), (0.05, 0.1))
    return place, exported, images[CALIBRATION:]


def test_the_day_is_found(predictor: tuple[Path, Predictor, np.ndarray], shared: Path) -> None:
    place, detector, known = predictor
    unknown = decoded(shared / "cifar100_test.webp.npz", UNKNOWN * 15)[0]
    parts = []
    for day in range(DAYS):
        images = known[day * IMAGES : (day + 1) * IMAGES].copy()
        names = [f"camera/{day + 1:02}/{index:03}.jpg" for index in range(IMAGES)]
        if day >= 15:
            images[:UNKNOWN] = unknown[(day - 15) * UNKNOWN : (day - 14) * UNKNOWN]
            names[:UNKNOWN] = [f"camera/{day + 1:02}/new-{index:03}.jpg" for index in range(UNKNOWN)]
        table = detector.predict(images).assign(path=names)
        parts.append(table.assign(taken=pd.Timestamp(2026, 6, day + 1, 12)))
    file = place / "june.parquet"
    write_parquet(pd.concat(parts, ignore_index=True), file, sha256(place / "detector" / MANIFEST))
    code, text = monitor(place / "detector", [file], MonitorOptions(time="taken", output=place / "monitor"))
    assert code == ALARM
    verdict = json.loads((place / "monitor" / "monitor.json").read_text())
    assert min(verdict["alarms"]) in ("2026-06-16", "2026-06-17", "2026-06-18"), text
    assert "The drift most likely began with 2026-06-16." in text
    periods = pd.read_csv(place / "monitor" / "periods.csv")
    assert (periods["rejected"][:15].sum() / periods["images"][:15].sum()) == pytest.approx(0.05, abs=0.025)
    lowest = pd.read_csv(place / "monitor" / "images.csv")["path"]
    assert lowest.str.contains("new-").mean() > 0.5
