"""A head on a frozen backbone, exported: trained and calibrated on cached features, it decides on pixels alike."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import synthood
from command_lines import writing
from synthood.common.images import ImageSet, read_images, write_images
from synthood.deploy import export_detector, onnx
from synthood.deploy.predictor import Predictor, confidences_of
from synthood.evaluation import extract
from synthood.evaluation.feature_files import FeatureFolder
from synthood.training import backbone_features, train
from synthood.training.networks.architectures.base import build
from synthood.training.networks.frozen import backbone_digest
from synthood.training.networks.settings import network_described
from toy_models import CLASSES, pictures

NAME = "torchvision/shufflenet_v2_x0_5"
PARTS = {"train": 60, "val": 40, "calibration": 60, "test": 45, "ood_validation": 20, "noise": 20}


@dataclass(frozen=True)
class Exported:
    place: Path
    predictor: Predictor
    features: FeatureFolder


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Every stage from images to the folder, on weights that have seen images."""
    place = tmp_path_factory.mktemp("frozen")
    other = build(network_described({"name": NAME}), 7, seed=3)
    seen = torch.from_numpy(np.array(pictures(32, 9).images)).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        for _ in range(30):
            other((seen - seen.mean()) / seen.std())
    save_file({key: value.contiguous() for key, value in other.state_dict().items()}, place / "weights.safetensors")
    network = {"name": NAME, "pretrained": str(place / "weights.safetensors"), "freeze": "backbone"}
    (place / "cached").mkdir()
    for seed, (part, count) in enumerate(PARTS.items()):
        made = pictures(count, seed)
        if part in ("noise", "ood_validation"):
            random = np.random.default_rng(seed).integers(0, 256, np.shape(made.images), np.uint8)
            found = ImageSet.out_of_distribution(random)
        else:
            found = ImageSet(np.array(made.images), made.labels, CLASSES)
        write_images(place / f"{part}.safetensors", found)
        given = ["--images", place / f"{part}.safetensors", "--train", place / "train.safetensors"]
        output = writing(backbone_features.main, [place / "cached" / f"{part}.safetensors"])
        run(backbone_features.main, "--settings", json.dumps({"network": network}), *given, *output)
    images = [place / f"{part}.safetensors" for part in PARTS]
    cached = [place / "cached" / path.name for path in images]
    recipe = {"network": network, "epochs": 10, "batch_size": 20, "learning_rate": 0.01, "optimizer": "adamw"}
    outputs = writing(train.main, [place / name for name in ("model.safetensors", "history.csv", "heads.safetensors")])
    learned = ["--train", cached[0], "--val", cached[1], "--seed", 0]
    run(train.main, "--settings", json.dumps({"recipe": recipe}), *learned, *outputs)
    model = ["--model", place / "model.safetensors", "--images", *images, "--cached", *cached]
    run(extract.main, *model, *writing(extract.main, [place / "features"]))
    settings = {
        "promise": {"reject_id": [0.05, 0.1]},
        "recipes": ["head"],
        "detectors": [{"vim": {"kind": "vim", "dimension": 40}}],
        "heads": [{}],
        "seeds": [0],
        "dataset": "toy",
        "ood": ["noise"],
        "ood_classes": {"noise": ["hat"]},
    }
    given = ["--models", place / "model.safetensors", "--features", place / "features", "--images", *images]
    run(export_detector.main, "--settings", json.dumps(settings), *given, "--output", place / "detector")
    return Exported(place, synthood.load(place / "detector"), FeatureFolder(place / "features"))


def run(stage: object, *line: object) -> None:
    stage([str(part) for part in line])  # type: ignore[operator]


def test_logits_and_confidences_are_those_of_training(exported: Exported) -> None:
    """To the last digits, which differ with the number of images that a product is taken of at once."""
    for part in ("test", "noise", "calibration"):
        images, known = read_images(exported.place / f"{part}.safetensors").images, exported.features.part(part)
        found = exported.predictor.features(images)
        for name in ("logits", "features"):
            ours, theirs = getattr(found, name), getattr(known, name)
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6 * float(theirs.abs().max()))
        scores = exported.predictor.scores
        wanted = confidences_of(scores, known)[0]
        table = exported.predictor.predict(images)
        np.testing.assert_allclose(table["confidence"], wanted, rtol=0, atol=1e-5 * float(np.abs(wanted).max()))
        assert table["label"].tolist() == [CLASSES[label] for label in known.logits.argmax(1)]
        assert table["probability"].to_numpy() == pytest.approx(known.logits.softmax(1).amax(1).numpy(), abs=1e-6)


def test_the_folder_says_which_weights_it_has(exported: Exported) -> None:
    facts, model = exported.predictor.facts["backbone"], exported.predictor.classifier
    assert facts["weights"] == "file weights.safetensors"
    assert facts["below_head"] == backbone_digest(model.network)
    assert (facts["network"], facts["learned"], facts["trained_on"], facts["alike"]) == (NAME, "head", [], {})
    assert len(facts["sha256"]) == 64
    for card in ("README.md", "README.html"):
        text = (exported.place / "detector" / card).read_text()
        assert facts["sha256"] in text
        assert "what it was trained on is unknown here" in text
        assert "Whether hat is among that is unknown" in text
        assert "noise (hat)" in text


def test_onnx_agrees(exported: Exported) -> None:
    runtime = pytest.importorskip("onnxruntime")
    images = read_images(exported.place / "test.safetensors").images
    path = exported.place / "detector.onnx"
    assert onnx.write(exported.predictor, path, images=images).startswith("agrees with the detector on 45 images")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    probabilities, confidence, p_value, is_ood = session.run(list(onnx.OUTPUTS), {"images": images})
    known, table = exported.features.part("test"), exported.predictor.predict(images)
    assert np.abs(probabilities - known.logits.softmax(1).numpy()).max() <= 1e-5
    spread = exported.predictor.calibration.confidences.std()
    assert np.abs(confidence - table["confidence"].to_numpy()).max() <= 1e-4 * spread
    assert (p_value == table["p_value"]).mean() >= 0.95
    assert (is_ood[:, 0] == table["is_ood"]).mean() >= 0.98
