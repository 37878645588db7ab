"""Networks of timm: the same function, features and head apart, in files of ours, and what cannot be one."""

import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import timm
import torch
from pydantic import ValidationError
from torch import nn

from synthood.common.iterate import ResumeFile
from synthood.common.seeds import derived_seed, global_seed
from synthood.common.tensors import read_tensors
from synthood.errors import SynthoodError
from synthood.training.fit import train
from synthood.training.methods.teacher import Teacher
from synthood.training.networks.architectures import from_timm
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.from_timm import TimmNetwork
from synthood.training.networks.architectures.residual import Network
from synthood.training.networks.checkpoint_settings import CheckpointRecipe
from synthood.training.networks.model import Classifier, logits_and_features
from synthood.training.networks.settings import network_described
from synthood.training.settings import RecipeSettings

VIT = TimmNetwork(
    name="timm/vit_tiny_patch16_224",
    image_size=16,
    options={"embed_dim": 24, "depth": 2, "num_heads": 2, "patch_size": 8},
)
SEVERAL = ["test_vit.r160_in1k", "test_resnet", "test_convnext", "test_efficientnet", "test_nfnet", "test_mambaout"]


def pixels(count: int, side: int, seed: int = 0) -> torch.Tensor:
    return torch.randn((count, 3, side, side), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", SEVERAL)
def test_it_computes_what_timm_does(name: str) -> None:
    """With the weights of timm's model: its logits, and its pooled features."""
    network = build(TimmNetwork(name=f"timm/{name}"), 5, seed=0).eval()
    torch.manual_seed(3)
    other = timm.create_model(name, num_classes=5).eval()
    place = other.default_cfg["classifier"]
    state = {key: value for key, value in other.state_dict().items() if not key.startswith(f"{place}.")}
    ours = {f"model.{key}": value for key, value in state.items()}
    ours |= {f"head.{key}": value for key, value in other.get_classifier().state_dict().items()}
    network.load_state_dict(ours)
    images = pixels(2, 160)
    with torch.no_grad():
        expected = other(images)
        torch.testing.assert_close(network(images), expected)
        other.reset_classifier(0)
        torch.testing.assert_close(network.features(images), other(images))
    assert expected.std() > 0
    assert network.head.in_features == network.features(images).shape[1]


def test_images_are_resized_to_what_the_network_takes() -> None:
    network = build(VIT, 3, seed=0).eval()
    assert not network.draws
    small = pixels(2, 8)
    larger = torch.nn.functional.interpolate(small, (16, 16), mode="bilinear", align_corners=False)
    torch.testing.assert_close(network(small), network(larger))


def test_the_seed_alone_decides_and_global_randomness_stays() -> None:
    torch.manual_seed(1)
    first = build(VIT, 3, seed=7).state_dict()
    drawn = torch.rand(4)
    torch.manual_seed(1)
    assert torch.equal(drawn, torch.rand(4))
    second, other = build(VIT, 3, seed=7).state_dict(), build(VIT, 3, seed=8).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])


def test_a_saved_model_is_read_again(tmp_path: Path) -> None:
    """And its file says nothing of where its weights came from."""
    network = build(VIT, 3, seed=0).eval()
    path = tmp_path / "model.safetensors"
    Classifier(VIT, ["a", "b", "c"], [0.5] * 3, [0.25] * 3, network).save(path)
    found = Classifier.load(path)
    assert found.settings == VIT
    images = np.random.default_rng(0).integers(0, 255, (3, 8, 8, 3), dtype=np.uint8)
    logits, features = logits_and_features(found, images, torch.device("cpu"))
    with torch.no_grad():
        expected = network.features(found.normalised(torch.from_numpy(images)))
    torch.testing.assert_close(features, expected)
    torch.testing.assert_close(logits, features @ network.head.weight.T + network.head.bias)
    started = VIT.model_copy(update={"pretrained": "/elsewhere/weights.pt", "sha256": "0" * 64})
    Classifier(started, ["a", "b", "c"], [0.5] * 3, [0.25] * 3, network).save(tmp_path / "b.safetensors")
    header = read_tensors(tmp_path / "b.safetensors")[1]["network"]
    assert header == VIT.model_dump(exclude_defaults=True) | {"interpolation": "bicubic"}


def test_it_trains_and_a_last_layer_learns_at_its_own_rate(make_images: Any, make_settings: Any) -> None:
    """A rate of next to nothing leaves the last layer where it began; the rest moves."""
    settings = make_settings(network=VIT, optimizer="adamw", learning_rate=0.01, last_layer_learning_rate=1e-12)
    found, _, history = train(
        settings, 0, make_images(20, 0), make_images(10, 1), None, torch.device("cpu"), ResumeFile(None, "", 60)
    )
    before = build(VIT, 3, seed=0).state_dict().keys()
    state = found.network.state_dict()
    assert state.keys() == before
    assert len(history) == 2

    begun = build(VIT, 3, derived_seed(0, "network")).state_dict()
    torch.testing.assert_close(state["head.weight"], begun["head.weight"], atol=1e-6, rtol=0)
    assert (state["model.blocks.0.mlp.fc1.weight"] - begun["model.blocks.0.mlp.fc1.weight"]).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "timm/resnet18000"}, r"timm/resnet18000: timm has none of this name; did you mean 'resnet\w+'\?"),
        ({"name": "timm/test_vit.nope"}, r"does not build it \(Invalid pretrained tag \(nope\)"),
        ({"name": "timm/test_resnet", "options": {"depthy": 3}}, r"does not build it .*'depthy'"),
        ({"name": "timm/deit_tiny_distilled_patch16_224", "options": {"depth": 1}}, r"classifier is not one Linear"),
        (
            {"name": "timm/lcnetv2_small", "image_size": 32, "options": {"drop_rate": 0.2}},
            r"draws at random between its pooled features and its last Linear; set drop_rate",
        ),
    ],
)
def test_what_cannot_be_a_classifier_is_told(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SynthoodError, match=message):
        build(TimmNetwork(**settings), 3, seed=0)


class Noisy(nn.Module):
    """A model in timm's form that adds random numbers, in training alone or always."""

    default_cfg: ClassVar = {"classifier": "fc", "input_size": (3, 8, 8)}

    def __init__(self, always: bool) -> None:
        super().__init__()
        self.norm, self.fc, self.always = nn.BatchNorm2d(3), nn.Linear(3, 3), always

    def forward_features(self, images: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.norm(images)
        return found + torch.rand(found.shape[:2])[..., None, None] if self.always or self.training else found

    def forward_head(self, maps: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        pooled = maps.mean((2, 3))
        return pooled if pre_logits else self.fc(pooled)

    def get_classifier(self) -> nn.Module:
        return self.fc

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.forward_head(self.forward_features(images))


def test_random_numbers_are_seen_by_what_a_pass_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever draws them; the look at it leaves batch normalisation as it was."""
    monkeypatch.setattr(from_timm, "created", lambda settings, num_classes: Noisy(settings.name == "timm/always"))
    network = build(TimmNetwork(name="timm/sometimes"), 3, seed=0)
    assert network.draws
    assert network.state_dict()["model.norm.num_batches_tracked"] == 0
    assert network.state_dict()["model.norm.running_mean"].tolist() == [0.0] * 3
    with pytest.raises(SynthoodError, match="timm/always: draws at random in evaluation, too"):
        build(TimmNetwork(name="timm/always"), 3, seed=0)


class Interrupted(ResumeFile):
    """Saves after every step, and breaks off after the first."""

    def save(self, name: str, state: dict[str, Any]) -> None:
        super().save(name, state)
        raise KeyboardInterrupt


DRAWING = {
    "functional dropout": TimmNetwork(name="timm/ghostnet_050", image_size=32),
    "stochastic depth": VIT.model_copy(update={"options": VIT.options | {"drop_path_rate": 0.3, "drop_rate": 0.2}}),
}


@pytest.mark.parametrize("kind", DRAWING)
def test_networks_that_draw_at_random_train_to_the_same_bytes(
    kind: str, make_images: Any, make_settings: Any, tmp_path: Path
) -> None:
    """After a stop, and whatever else has drawn from the global generators, whose state stays."""

    def trained(resume: ResumeFile | None = None) -> list[bytes]:
        given = make_settings(network=DRAWING[kind], epochs=1, batch_size=10), 0, make_images(20, 0), make_images(3, 1)
        found, _, _ = train(*given, None, torch.device("cpu"), resume or ResumeFile(None, ""))
        assert found.network.draws
        return [value.numpy().tobytes() for value in found.network.state_dict().values()]

    torch.manual_seed(1)
    before = torch.get_rng_state()
    whole = trained()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    with pytest.raises(KeyboardInterrupt):
        trained(resume=Interrupted(tmp_path, "job", save_seconds=0))
    torch.manual_seed(3)
    assert trained(resume=ResumeFile(tmp_path, "job")) == whole


def test_each_step_and_process_draws_its_own() -> None:
    drawn: list[float] = []
    for parts in ((0, 1, 0), (0, 1, 0), (1, 1, 0), (0, 2, 0), (0, 1, 1)):
        with global_seed(torch.device("cpu"), *parts):
            drawn.append(float(torch.rand(())))
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) == 4


def test_images_of_another_size_are_told() -> None:
    network = build(TimmNetwork(name="timm/test_vit"), 3, seed=0)
    with pytest.raises(SynthoodError, match=r"takes images of 160 x 160 pixels, got 32 x 32; set network\.image_size"):
        network(pixels(1, 32))


def test_without_timm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(SynthoodError, match=r"network timm/x: needs timm; pip install 'synthood\[timm\]'"):
        from_timm.created(TimmNetwork(name="timm/x"))


def test_the_kind_of_network_is_told_by_its_name() -> None:
    recipe = {"network": {"name": "timm/test_vit"}, "epochs": 1, "batch_size": 2, "learning_rate": 0.1}
    found = RecipeSettings.model_validate(recipe)
    assert found.network == TimmNetwork(name="timm/test_vit")
    assert found.canonical() == ('{"batch_size":2,"epochs":1,"learning_rate":0.1,"network":{"name":"timm/test_vit"}}')
    residual = Network(name="resnet8", image_size=64)
    assert network_described(residual.described()) == residual
    assert Network(name="resnet8").described() == {"name": "resnet8", "width": 16, "shortcut": "projected"}


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"name": "timm/a b"}, "String should match pattern"),
        ({"name": "timm/test_vit", "sha256": "0" * 64}, "sha256 is of a file; name it in `pretrained`"),
        ({"name": "timm/test_vit", "width": 16}, "Extra inputs are not permitted"),
        ({"name": "resnet8", "pretrained": True}, "Extra inputs are not permitted"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(network: dict[str, Any], message: str) -> None:
    recipe = {"network": network, "epochs": 1, "batch_size": 2, "learning_rate": 0.1}
    with pytest.raises(ValidationError, match=message):
        RecipeSettings.model_validate(recipe)


def test_a_checkpoint_has_its_weights_in_one_place() -> None:
    recipe = {"kind": "checkpoint", "path": "a.pt", "mean": [0.5] * 3, "std": [0.5] * 3}
    network = {"name": "timm/test_vit", "pretrained": True}
    with pytest.raises(ValidationError, match=r"network\.pretrained is for recipes that are trained"):
        CheckpointRecipe.model_validate(recipe | {"network": network})
    more = {"network": {"name": "resnet8"}, "path": "{seed}.pt", "sha256": "0" * 64}
    with pytest.raises(ValidationError, match=r"sha256 is of one file, but path has \{seed\}"):
        CheckpointRecipe.model_validate(recipe | more)


def test_a_teacher_of_timm_of_another_size_and_normalisation(
    make_images: Any, make_settings: Any, tmp_path: Path
) -> None:
    """A student of small images learns from it in the loop itself, and what it distils is the teacher's own view."""
    real, path = make_images(20, 0), tmp_path / "teacher.safetensors"
    Classifier(VIT, real.classes, [0.5] * 3, [0.5] * 3, build(VIT, 3, seed=4)).save(path)
    settings = make_settings(teacher=Teacher(recipe="t", feature_weight=8.0), epochs=1)
    arguments = (settings, 0, real, make_images(10, 1), None, torch.device("cpu"), ResumeFile(None, "", 60))
    _, terms, history = train(*arguments, teacher_model=path)
    assert history[0]["logit_distillation"] > 0
    assert 0 < history[0]["feature_distillation"] <= 16
    assert terms["distillation"].projection.weight.shape == (VIT.options["embed_dim"], 32)
    Classifier(VIT, real.classes, [0.5] * 3, [0.25] * 3, build(VIT, 3, seed=4)).save(path)
    _, _, other = train(*arguments, teacher_model=path)
    assert other[0]["logit_distillation"] != history[0]["logit_distillation"]
