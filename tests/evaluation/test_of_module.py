"""Detectors of the model from Python: the workflow's values for any module and form of images, and what goes wrong."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from synthood import detectors
from synthood.errors import SynthoodError
from synthood.evaluation.detectors.of_model.base import ModelDetector
from synthood.evaluation.model_search import ImageValidation, batches_of, fitted
from synthood.training.networks.model import inputs_of
from toy_models import OF_MODEL, classifier, pictures, probe_of

MODEL = classifier()
TRAIN, VAL, OOD, TEST = pictures(60, 1), pictures(30, 2), pictures(30, 3, contrast=2.5), pictures(20, 5, contrast=1.5)
MOMENTS = {"mean": MODEL.mean, "std": MODEL.deviation}
MAPS = ["body.stem", *(f"body.blocks.{i}" for i in range(3))]
NEEDED = {"train": TRAIN.images, "labels": TRAIN.labels, "val": VAL.images, "ood_validation": OOD.images}


class Own(nn.Module):
    """The same function as the toy classifier's, as someone else might have written it."""

    def __init__(self) -> None:
        super().__init__()
        network: Any = classifier().network
        self.body = nn.ModuleDict({"stem": network.stem, "blocks": nn.Sequential(*network.stages)})
        self.classify = nn.Linear(network.head.in_features, network.head.out_features)
        self.classify.load_state_dict(network.head.state_dict())

    def forward(self, x: Tensor) -> Tensor:
        maps = self.body["blocks"](self.body["stem"](x))
        logits: Tensor = self.classify(input=maps.mean((2, 3)))
        return logits


@pytest.fixture(scope="module")
def expected() -> dict[str, Tensor]:
    """What the stage `score_model` gives."""
    probe = probe_of(MODEL)
    validation = ImageValidation(TRAIN, VAL, OOD)
    found = fitted(probe, MODEL, {d.kind: d for d in OF_MODEL if isinstance(d, ModelDetector)}, validation)[0]
    return {kind: torch.cat([one(batch) for batch, _ in batches_of(probe, MODEL, TEST)]) for kind, one in found.items()}


def near(found: Tensor, expected: Tensor) -> None:
    """To what rounding does to signs of gradients that are all but zero."""
    assert (found.dtype, found.shape) == (torch.float32, expected.shape)
    assert float((found - expected).abs().max()) < 0.01 * float(expected.max() - expected.min())


@pytest.mark.parametrize("one", OF_MODEL, ids=lambda one: one.kind)
def test_our_classifier_gives_the_workflow_s_values(one: Any, expected: dict[str, Tensor]) -> None:
    near(one.fit(MODEL, **NEEDED).score(TEST.images), expected[one.kind])


@pytest.mark.parametrize("one", OF_MODEL, ids=lambda one: one.kind)
def test_any_module_gives_the_workflow_s_values(one: Any, expected: dict[str, Tensor]) -> None:
    model = Own()
    score = one.fit(model, **NEEDED, layer="classify", maps=MAPS, **MOMENTS)
    near(score.score(TEST.images), expected[one.kind])


FORMS: dict[str, Callable[[np.ndarray, np.ndarray], Any]] = {
    "uint8, channels first": lambda x, y: (torch.from_numpy(x).permute(0, 3, 1, 2), torch.from_numpy(y)),
    "a loader of inputs": lambda x, y: DataLoader(
        TensorDataset(torch.cat([*inputs_of(MODEL, x, torch.device("cpu"))]), torch.from_numpy(y)), 9
    ),
    "a list of batches": lambda x, y: [(x[:25], y[:25].tolist()), (x[25:], y[25:].tolist())],
    "dictionaries": lambda x, y: [{"image": x, "label": y}],
}


@pytest.mark.parametrize("form", FORMS)
def test_other_forms_of_images_are_taken(form: str, expected: dict[str, Tensor]) -> None:
    made = FORMS[form]
    parts = {name: made(x.images, x.labels) for name, x in (("train", TRAIN), ("val", VAL), ("ood_validation", OOD))}
    score = detectors.MdsEnsemble().fit(Own(), **parts, maps=MAPS, **MOMENTS)
    near(score.score(made(TEST.images, TEST.labels)), expected["mds-ensemble"])


def test_grids_are_searched() -> None:
    grid = detectors.Odin(temperature=[1.0, 1000.0], noise=0.01)
    found = grid.fit(MODEL, val=VAL.images, ood_validation=OOD.images)
    probe = probe_of(MODEL)
    theirs, table = fitted(probe, MODEL, {"odin": grid}, ImageValidation(TRAIN, VAL, OOD))
    assert found.search["auroc"].tolist() == pytest.approx(table["auroc"].tolist(), abs=0.01)
    assert found.fitted.values == theirs["odin"].values


def test_the_model_is_left_as_it_was() -> None:
    model = Own()
    model.train()
    model.classify.weight.requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    score = detectors.Odin(temperature=1000.0, noise=0.0014).fit(model, **MOMENTS)
    score.score(TEST.images)
    assert all(module.training for module in model.modules())
    assert [name for name, one in model.named_parameters() if not one.requires_grad] == ["classify.weight"]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_a_head_without_bias() -> None:
    model = Own()
    model.classify.register_parameter("bias", None)
    other = Own()
    nn.init.zeros_(other.classify.bias)
    ours, theirs = (detectors.AdaScale().fit(m, val=VAL.images, **MOMENTS).score(TEST.images) for m in (model, other))
    near(ours, theirs)


class TwoLayers(Own):
    def __init__(self) -> None:
        super().__init__()
        self.extra = nn.Linear(2, 2)


INPUTS = torch.cat([*inputs_of(MODEL, TEST.images, torch.device("cpu"))])
WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "no module": (lambda: detectors.Odin().fit(3), "expected a torch.nn.Module whose layers can be watched, got int"),
    "no layer": (
        lambda: detectors.Odin().fit(TwoLayers()),
        "pass layer, the linear layer that makes the logits; the last ones are classify, extra",
    ),
    "a wrong layer": (
        lambda: detectors.Odin().fit(TwoLayers(), layer="clasify"),
        "the model has no linear layer 'clasify'; did you mean 'classify'",
    ),
    "a layer that is not run": (
        lambda: detectors.Odin().fit(TwoLayers(), layer="extra", std=1.0).score(INPUTS),
        "the layer 'extra' is given nothing for 20 inputs",
    ),
    "no std": (lambda: detectors.Odin().fit(Own()).score(INPUTS), "pass std, by which the inputs were divided"),
    "uint8 without mean": (
        lambda: detectors.Odin().fit(Own(), std=1.0).score(TEST.images),
        "images are uint8; pass the mean and std of pixels",
    ),
    "no training images": (lambda: detectors.Gram().fit(MODEL, val=VAL.images), "gram: pass train, ID training images"),
    "no validation images": (
        lambda: detectors.MdsEnsemble().fit(MODEL, TRAIN.images, TRAIN.labels),
        "mds-ensemble: pass val, ID validation images and ood_validation, OOD validation images",
    ),
    "a grid": (
        lambda: detectors.Odin(temperature=[1.0, 10.0]).fit(MODEL),
        "odin: a grid needs validation data; fit one of its candidates",
    ),
    "a grid without ID images": (
        lambda: detectors.Odin(temperature=[1.0, 10.0]).fit(MODEL, ood_validation=OOD.images),
        "odin: pass val, ID validation images",
    ),
    "no labels": (
        lambda: detectors.MdsEnsemble().fit(MODEL, TRAIN.images, val=VAL.images, ood_validation=OOD.images),
        r"train: batch 0: expected labels from 0 to 2, got None",
    ),
    "labels beside a loader": (
        lambda: detectors.Gram().fit(MODEL, [TRAIN.images], TRAIN.labels, val=VAL.images),
        r"labels go with images in one array; give batches of \(images, labels\) instead, got list",
    ),
    "no maps": (
        lambda: detectors.RankFeat().fit(Own()).score(INPUTS),
        "no convolutional maps, .* or from Python pass maps, the names of its blocks",
    ),
    "a wrong map": (
        lambda: detectors.RankFeat().fit(Own(), maps=["layer1"]),
        "maps: the model has no module 'layer1'; names are such as body",
    ),
    "no images": (lambda: detectors.Odin().fit(MODEL).score([]), "odin: no images; an iterator that was used up"),
    "flat inputs": (
        lambda: detectors.Odin().fit(MODEL).score(torch.zeros(3, 5)),
        r"expected a batch of images \[N,H,W,3\] or inputs \[N,3,H,W\], got \[3, 5\]",
    ),
    "inputs that the model cannot take": (
        lambda: detectors.Odin().fit(Own(), std=1.0).score(torch.zeros(3, 7, 16, 16)),
        r"the model fails on a batch, torch.float32 \[3, 7, 16, 16\]: RuntimeError",
    ),
    "not finite": (
        lambda: detectors.Odin().fit(MODEL).score(torch.full((3, 3, 16, 16), torch.nan)),
        "odin: gives 3 of 3 images a confidence that is not finite",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_mistakes_are_one_sentence(name: str) -> None:
    call, message = WRONG[name]
    with pytest.raises(SynthoodError, match=message) as told:
        call()
    assert "\n" not in str(told.value)
