"""A public classifier on prepared real images: its published accuracy, and known areas under the ROC curve."""

import numpy as np
import pytest
import torch

from synthood import detectors
from synthood.common.images import ImageSet, read_images, write_images
from synthood.data.part_settings import PartSettings
from synthood.data.prepare import prepare
from synthood.data.sources.arrays import Arrays
from synthood.data.sources.torchvision import IdTorchvision
from synthood.evaluation.ranking import auroc
from synthood.training.networks.checkpoint import imported
from synthood.training.networks.checkpoint_settings import CheckpointRecipe
from synthood.training.networks.model import logits_and_features


@pytest.fixture(scope="module")
def classifier(shared_data):
    recipe = {
        "kind": "checkpoint",
        "path": str(shared_data / "cifar10_resnet20.pt"),
        "network": {"name": "resnet20", "shortcut": "padded"},
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
    }
    return imported(CheckpointRecipe.model_validate(recipe), [str(label) for label in range(10)])


@pytest.fixture(scope="module")
def prepared(real_data, tmp_path_factory):
    """All CIFAR-10 test images and every second CIFAR-100 test image, written and read as a workflow's jobs do."""
    folder = tmp_path_factory.mktemp("prepared")
    cifar10 = IdTorchvision(kind="cifar10", path=str(real_data))
    cifar100 = Arrays(kind="arrays", path=str(real_data / "arrays" / "cifar100_test.npz"))
    made = {part: prepare(PartSettings(part=part, source=cifar10)) for part in ("val", "test")}
    near = prepare(PartSettings(part="near", ood=True, source=cifar100))
    made["near"] = ImageSet.out_of_distribution(near.images[::2])
    for part, images in made.items():
        write_images(folder / f"{part}.safetensors", images)
    return {part: read_images(folder / f"{part}.safetensors") for part in made}


def test_the_published_accuracy_and_the_known_areas(classifier, prepared):
    cpu = torch.device("cpu")
    outputs = {part: logits_and_features(classifier, images.images, cpu) for part, images in prepared.items()}
    logits = torch.cat([outputs[part][0] for part in ("val", "test")])
    labels = np.concatenate([prepared[part].labels for part in ("val", "test")])
    assert len(labels) == 10_000
    assert int((logits.argmax(1).numpy() == labels).sum()) == pytest.approx(9_173, abs=2)
    val = (*outputs["val"], prepared["val"].labels)
    features = torch.cat([outputs[part][1] for part in ("val", "test")])
    head = (classifier.network.head.weight.detach(), classifier.network.head.bias.detach())
    areas = {}
    for name in ("msp", "energy"):
        detector = detectors.fit(name, val, val, head)
        confidence = [detectors.score(detector, *given) for given in ((logits, features), outputs["near"])]
        areas[name] = auroc(*confidence)
    assert areas["msp"] == pytest.approx(0.861, abs=0.003)
    assert areas["energy"] == pytest.approx(0.882, abs=0.003)
