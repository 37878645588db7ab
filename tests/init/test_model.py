"""A classifier that is trained already, and whether it knows a folder's classes."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file

from checkouts import PROJECT
from class_folders import by_class
from synthood.cli import main
from synthood.data.files.decode import Reading
from synthood.data.selection import Selection
from synthood.errors import SynthoodError
from synthood.init.layout import layout_of
from synthood.init.model import Given, accuracy, known
from synthood.training.networks.architectures.base import build
from synthood.training.networks.model import Classifier, logits_and_features
from synthood.training.networks.settings import network_described

HALF = [0.5, 0.5, 0.5]
COUNTS = {"ant": 30, "bee": 30, "cow": 30}


def save(network, file):
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, file)


def trained(folder, file):
    """Weights of a random network whose last layer is that of the nearest class mean, for a folder's classes."""
    settings = network_described({"name": "resnet8"})
    network = build(settings, len(COUNTS), 0).eval()
    source = layout_of(folder).source(size=16)
    reading = Reading(source.listed(Selection(part="train")), source)
    images = np.stack(list(reading))
    classifier = Classifier(settings, list(COUNTS), HALF, HALF, network)
    _, features = logits_and_features(classifier, images, torch.device("cpu"))
    means = torch.stack([features[torch.from_numpy(reading.labels) == label].mean(0) for label in range(len(COUNTS))])
    network.head.weight.data, network.head.bias.data = 2 * means, -(means**2).sum(1)
    save(network, file)
    return file


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return by_class(tmp_path_factory.mktemp("model") / "photos", COUNTS)


@pytest.fixture(scope="module")
def weights(photos):
    return trained(photos, photos.parent / "weights.safetensors")


def test_network_and_classes_are_those_of_the_weights(weights):
    found = known(Given(weights, "resnet8", HALF, HALF))
    assert (found.classes, found.features, found.size) == (3, 64, 32)
    assert found.recipe.network == network_described({"name": "resnet8"})
    assert known(Given(weights, None, HALF, HALF)).recipe == found.recipe


def test_what_a_file_does_not_say_must_be_given(weights, tmp_path):
    with pytest.raises(SynthoodError, match=r"give --mean R G B --std R G B in \[0,1\] \(ImageNet's: --mean 0.485"):
        known(Given(weights, "resnet8"))
    with pytest.raises(SynthoodError, match="its weights are not those of resnet20; name another by --arch"):
        known(Given(weights, "resnet20", HALF, HALF))
    save_file({"x": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(SynthoodError, match="its weights are not those of the network; name it by --arch"):
        known(Given(tmp_path / "other.safetensors", None, HALF, HALF))


def test_timm_says_size_and_normalisation_of_its_networks(tmp_path):
    timm = pytest.importorskip("timm")
    network = timm.create_model("resnet10t", num_classes=4)
    save(network, tmp_path / "t.safetensors")
    found = known(Given(tmp_path / "t.safetensors", "timm/resnet10t"))
    facts = network.default_cfg
    assert (found.classes, found.features, found.size) == (4, 512, facts["input_size"][1])
    assert found.recipe.mean == list(facts["mean"])
    assert found.resize == int(found.size / facts["crop_pct"])
    assert "mean and std: timm's own for timm/resnet10t; else give --mean and --std" in found.notes


def test_a_model_that_knows_the_classes_is_taken(photos, weights):
    source = layout_of(photos).source(size=16)
    share, warning = accuracy(known(Given(weights, None, HALF, HALF)).recipe, source, "test")
    assert (share, warning) == (1.0, "")


def test_classes_in_another_order_are_refused_with_the_likely_one(photos, weights):
    source = layout_of(photos, ["cow", "ant", "bee"]).source(size=16)
    with pytest.raises(SynthoodError) as caught:
        accuracy(known(Given(weights, None, HALF, HALF)).recipe, source, "test")
    assert "gives 0.0% of 9 images the class of their folder, but 100.0% if its outputs are in another" in str(
        caught.value
    )
    assert str(caught.value).endswith("give it by --classes ant bee cow")


def test_a_model_near_chance_is_refused(photos, tmp_path):
    random = build(network_described({"name": "resnet8"}), 3, 5)
    save(random, tmp_path / "random.safetensors")
    recipe = known(Given(tmp_path / "random.safetensors", None, HALF, HALF)).recipe
    with pytest.raises(SynthoodError, match=r"of 72 images .* near chance \(33.3%\); check the order of the classes"):
        accuracy(recipe, layout_of(photos).source(size=16), "train")


def test_a_configuration_without_training(photos, weights, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    given = ["--from-model", str(weights), "--mean", *map(str, HALF), "--std", *map(str, HALF), "--size", "16"]
    main(["init", str(photos), *given])
    raw = yaml.safe_load((tmp_path / "photos.yaml").read_text())
    assert raw["recipes"]["classifier"]["kind"] == "checkpoint"
    assert "near" not in raw["datasets"]["photos"]
    out = capsys.readouterr().out
    assert "its outputs are taken for the classes in the order of their names: ant, bee, cow; accuracy 100.0%" in out
    assert "must not have learned from these images" in out
    with pytest.raises(SystemExit):
        main(["init", str(photos), *given, "--held-out", "cow", "--out", "b.yaml"])
    assert "has 3 classes, the folder 2 (ant, bee); hold others out by --held-out" in capsys.readouterr().err


def test_the_public_resnet_56_knows_cifar_10(tmp_path, monkeypatch, capsys):
    place = Path(os.environ.get("SYNTHOOD_SHARED_DATA", PROJECT.parent / "shared" / "data"))
    if not (place / "cifar10_resnet56.pt").is_file():
        pytest.skip(f"no real data at {place} (SYNTHOOD_SHARED_DATA names its folder)")
    with np.load(place / "cifar10_test.webp.npz") as blob:
        data, ends, labels, classes = (blob[key] for key in ("data", "offsets", "labels", "classes"))
    data = data.tobytes()
    for index in range(400):
        folder = tmp_path / "cifar10" / str(classes[labels[index]])
        folder.mkdir(parents=True, exist_ok=True)
        with Image.open(io.BytesIO(data[ends[index] : ends[index + 1]])) as image:
            image.save(folder / f"{index}.png")
    monkeypatch.chdir(tmp_path)
    normalised = ["--mean", "0.485", "0.456", "0.406", "--std", "0.229", "0.224", "0.225"]
    main(["init", "cifar10", "--from-model", str(place / "cifar10_resnet56.pt"), "--arch", "resnet56", *normalised])
    out = capsys.readouterr().out
    assert 0.9 < float(out.partition("; accuracy ")[2].partition("%")[0]) / 100 < 0.98
    assert yaml.safe_load((tmp_path / "cifar10.yaml").read_text())["recipes"]["classifier"]["network"] == {
        "name": "resnet56",
        "shortcut": "padded",
    }
