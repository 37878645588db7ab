"""Outputs of trained heads beside logits and features, from the model and heads that `train` wrote."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from synthood.common.tensors import write_tensors
from synthood.errors import SynthoodError
from synthood.evaluation.extract import extracted
from synthood.evaluation.feature_files import FeatureFolder, write_batches, write_head, write_part
from synthood.training.method_settings import Methods
from synthood.training.methods.discrepancy import DiscrepancyExposure
from synthood.training.methods.godin import Godin
from synthood.training.methods.rotation import Rotation
from synthood.training.methods.supervised_contrast import Cider
from synthood.training.methods.term import Context
from synthood.training.methods.virtual_outliers import VirtualOutliers
from synthood.training.networks import model
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.residual import Network
from synthood.training.networks.model import Classifier, logits_and_features
from synthood.training.terms.build import learned, read_terms, terms_of

SETTINGS = Methods(
    rotation=Rotation(),
    contrastive=Cider(kind="cider", dimensions=5),
    virtual_outliers=VirtualOutliers(queue=4),
    normalisation=Godin(kind="godin", similarity="inner"),
    exposure=DiscrepancyExposure.model_validate({"kind": "discrepancy", "from": "o"}),
)
NETWORK = Network(name="resnet8", width=8)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier(NETWORK, ["a", "b", "c"], [0.5] * 3, [0.25] * 3, build(NETWORK, 3, seed=1).eval())


@pytest.fixture
def heads(tmp_path: Path) -> Path:
    """What train writes, with parameters that are not those of a new term."""
    terms = terms_of(SETTINGS.methods, Context(32, 3), seed=0)
    with torch.no_grad():
        for parameter in terms.parameters():
            parameter.add_(0.1)
    arrays = {key: value.detach().numpy() for key, value in learned(terms).items()}
    write_tensors(tmp_path / "heads.safetensors", arrays, {"terms": list(terms)})
    return tmp_path / "heads.safetensors"


IMAGES = np.random.default_rng(0).integers(0, 256, (7, 32, 32, 3), dtype=np.uint8)
LABELS = np.arange(7) % 3


def test_outputs_are_those_of_the_trained_heads(classifier: Classifier, heads: Path) -> None:
    terms = read_terms(heads, SETTINGS.methods, 32, 3)
    (found,) = extracted(classifier, terms, IMAGES, LABELS, torch.device("cpu"))
    logits, features = logits_and_features(classifier, IMAGES, torch.device("cpu"))
    torch.testing.assert_close(found.logits, logits)
    torch.testing.assert_close(found.features, features)
    assert {name: tuple(output.shape) for name, output in found.outputs.items()} == {
        "rotation": (7, 4),
        "contrastive": (7, 5),
        "virtual_outliers": (7,),
        "godin": (7, 2),
        "discrepancy": (7, 3),
    }
    for turns in range(4):
        turned = np.ascontiguousarray(np.rot90(IMAGES, turns, (1, 2)))
        _, own = logits_and_features(classifier, turned, torch.device("cpu"))
        loss = F.cross_entropy(terms["rotation"].layer(own), torch.full((7,), turns), reduction="none")
        torch.testing.assert_close(found.outputs["rotation"][:, turns], loss.detach(), rtol=1e-4, atol=1e-5)
    vos = terms["virtual_outliers"]
    energy = (logits + vos.log_weights).exp().sum(1).log()
    odds = vos.logistic.weight[0, 0] * energy + vos.logistic.bias[0]
    torch.testing.assert_close(found.outputs["virtual_outliers"], odds.detach(), rtol=1e-4, atol=1e-5)
    second = terms["discrepancy"].second
    torch.testing.assert_close(found.outputs["discrepancy"], (features @ second.weight.T + second.bias).detach())
    layer, norm = terms["godin"].layer, terms["godin"].norm
    raw = (features @ layer.weight[0] + layer.bias) / math.sqrt(1 + 1e-5) * norm.weight + norm.bias
    expected = torch.stack([logits.amax(1), raw.sigmoid()], 1).detach()
    torch.testing.assert_close(found.outputs["godin"], expected, rtol=1e-4, atol=1e-5)
    assert found.outputs["contrastive"].norm(dim=1).numpy() == pytest.approx(1, abs=1e-5)


def test_outputs_come_back_from_the_folder(classifier: Classifier, heads: Path, tmp_path: Path) -> None:
    (found,) = extracted(classifier, read_terms(heads, SETTINGS.methods, 32, 3), IMAGES, LABELS, torch.device("cpu"))
    folder = tmp_path / "features"
    folder.mkdir()
    write_part(folder, "val", found)
    write_head(folder, classifier.network.head.weight.detach(), classifier.network.head.bias.detach())
    back = FeatureFolder(folder).part("val")
    assert back.outputs.keys() == found.outputs.keys()
    assert all(torch.equal(back.outputs[name], output) for name, output in found.outputs.items())


def test_without_heads_there_are_no_outputs(classifier: Classifier) -> None:
    (found,) = extracted(classifier, {}, IMAGES, LABELS, torch.device("cpu"))
    assert found.outputs == {}


def test_batches_never_meet(classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part larger than a batch is written as it comes, to the same bytes up to rounding."""
    device = torch.device("cpu")
    (whole,) = extracted(classifier, {}, IMAGES, LABELS, device)
    monkeypatch.setattr(model, "EVALUATION_BATCH", 3)
    monkeypatch.setattr(model.inputs_of, "__defaults__", (3,))
    batches = extracted(classifier, {}, IMAGES, LABELS, device)
    write_batches(tmp_path, "val", 7, batches)
    write_head(tmp_path, classifier.network.head.weight.detach(), classifier.network.head.bias.detach())
    back = FeatureFolder(tmp_path).part("val")
    torch.testing.assert_close(back.features, whole.features)
    torch.testing.assert_close(back.logits, whole.logits)
    assert back.labels.tolist() == LABELS.tolist()


def test_heads_of_another_recipe_are_told(heads: Path, tmp_path: Path) -> None:
    other = SETTINGS.model_copy(update={"contrastive": Cider(dimensions=6)})
    with pytest.raises(SynthoodError, match="does not hold the head `contrastive`"):
        read_terms(heads, other.methods, 32, 3)
    write_tensors(tmp_path / "none.safetensors", {}, {"terms": []})
    with pytest.raises(SynthoodError, match="does not hold the head `discrepancy`"):
        read_terms(tmp_path / "none.safetensors", SETTINGS.methods, 32, 3)
