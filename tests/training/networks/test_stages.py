"""`freeze: stages`: which weights are frozen, that they and their statistics keep their bytes, and who else learns."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file

from synthood.common.iterate import ResumeFile
from synthood.errors import SynthoodError
from synthood.training.fit import train
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.from_transformers import TransformersNetwork
from synthood.training.networks.pretrained import initial
from synthood.training.networks.settings import network_described
from synthood.training.settings import RecipeSettings, TrainSettings
from synthood.training.stability import optimizer_of

CPU = torch.device("cpu")
LAST = {
    "timm/test_efficientnet": ("model.blocks.4.", "model.conv_head.", "model.bn2."),
    "torchvision/shufflenet_v2_x0_5": ("model.conv5.",),
}
"""What is trained with the head where the last stage alone is."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of another task for each network."""
    place = tmp_path_factory.mktemp("weights")
    for name in LAST:
        state = build(network_described({"name": name}), 7, seed=3).state_dict()
        save_file({key: value.contiguous() for key, value in state.items()}, place / f"{name.partition('/')[0]}.st")
    return place


def recipe(files: Path, name: str, **more: Any) -> RecipeSettings:
    network = {"name": name, "pretrained": str(files / f"{name.partition('/')[0]}.st"), "freeze": "stages"}
    given = {"epochs": 2, "batch_size": 8, "learning_rate": 0.01, "weight_decay": 0.1, "weight_average": 0.5}
    return RecipeSettings.model_validate(given | {"network": network | more})


@pytest.mark.parametrize("name", LAST)
@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_frozen_stages_keep_their_bytes(name: str, head: str, files: Path, make_images: Any) -> None:
    """Weights and statistics, under weight decay, momentum and an average; the last stage and the head change."""
    settings = recipe(files, name, head={"kind": head})
    sets = make_images(16, 0, side=32), make_images(6, 1, side=32)
    found, _, _ = train(TrainSettings(recipe=settings, precision="float32"), 0, *sets, None, CPU, ResumeFile(None, ""))
    begun, ended = initial(settings.network, 3, 0).state_dict(), found.network.state_dict()
    inside = "network." if head == "mlp" else ""
    learned = tuple(f"{inside}{place}" for place in LAST[name])
    backbone = [key for key in begun if key.startswith(f"{inside}model.")]
    frozen = [key for key in backbone if not key.startswith(learned)]
    assert any(key.endswith("running_mean") for key in frozen)
    assert all(torch.equal(begun[key], ended[key]) for key in frozen)
    assert all(not torch.equal(begun[key], ended[key]) for key in backbone if key not in frozen)
    assert not torch.equal(begun["head.weight"], ended["head.weight"])
    assert found.settings == settings.network.architecture
    assert "freeze" not in found.settings.described()


@pytest.mark.parametrize("name", LAST)
def test_the_optimizer_has_what_is_trained(name: str, files: Path) -> None:
    network = recipe(files, name).network
    begun = initial(network, 3, 0)
    network.freeze_weights(begun)
    optimizer = optimizer_of(begun, "adamw", 0.1, 0.9, 0.1, last_layer=0.2)
    places = {id(parameter): key for key, parameter in begun.named_parameters()}
    first, last = ({places[id(parameter)] for parameter in group["params"]} for group in optimizer.param_groups)
    assert last == {"head.weight", "head.bias"}
    assert first == {key for key in places.values() if key.startswith(LAST[name])}


def test_frozen_parts_stay_in_evaluation_mode(files: Path) -> None:
    network = recipe(files, "timm/test_efficientnet").network
    begun = initial(network, 3, 0)
    network.freeze_weights(begun)
    begun.train()
    assert not begun.model.bn1.training
    frozen = [layer for block in list(begun.model.blocks)[:4] for layer in block.modules() if list(layer.parameters())]
    assert frozen
    assert not any(layer.training for layer in frozen)
    assert begun.model.bn2.training
    assert begun.training
    assert not begun.eval().model.bn2.training


def test_stages_of_a_transformer_are_its_blocks() -> None:
    """With the embedding in the first and the norm in the last."""
    config = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "image_size": 28, "patch_size": 14}
    for kind, block, norm in (("dinov2", "encoder.layer", "layernorm"), ("clip", "encoder.layers", "post_layernorm")):
        given = config | ({"intermediate_size": 64} if kind == "clip" else {})
        network = build(TransformersNetwork.model_validate({"name": f"transformers/{kind}", "config": given}), 3, 0)
        stages = network.stage_weights()
        assert sorted(key for stage in stages for key in stage) == sorted(
            key for key, _ in network.named_parameters() if "head." not in key
        )
        assert [any(f"model.{block}.{n}." in key for key in stages[n - 3]) for n in range(3)] == [True] * 3
        assert f"model.{norm}.weight" in stages[-1]
        assert len(stages) == 3
        assert not any("embeddings" in key for stage in stages[1:] for key in stage)


def test_as_many_stages_as_there_are_freeze_none(files: Path) -> None:
    network = recipe(files, "torchvision/shufflenet_v2_x0_5", trained_stages=9).network
    with pytest.raises(SynthoodError, match=r"shufflenet_v2_x0_5: has \d stages, so trained_stages 9 freezes none"):
        network.freeze_weights(initial(network, 3, 0))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"freeze": "stages"}, "freeze needs weights that are worth keeping"),
        ({"freeze": "backbone", "pretrained": "a", "trained_stages": 2}, "trained_stages goes with freeze: stages"),
        ({"freeze": "stages", "pretrained": "a", "trained_stages": 0}, "greater than or equal to 1"),
    ],
)
def test_keys_that_do_not_go_together_are_refused(more: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        network_described({"name": "torchvision/resnet18"} | more)
