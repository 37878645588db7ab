"""Weights of one network of timm in the files that training scripts write: the same logits from each of them."""

import argparse
import pathlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from synthood.errors import SynthoodError
from synthood.training.networks.checkpoint import imported
from synthood.training.networks.checkpoint_settings import CheckpointRecipe

NAME = "test_resnet"
CLASSES = ["cat", "dog", "owl"]
State = dict[str, Any]


def random_network(seed: int, classes: int = len(CLASSES)) -> nn.Module:
    """The network with random weights and statistics, so that each tensor counts."""
    made = timm.create_model(NAME, num_classes=classes).eval()
    random = torch.Generator().manual_seed(seed)
    for value in made.state_dict().values():
        if value.is_floating_point() and value.ndim == 1:
            value.copy_(0.5 + torch.rand(value.shape, generator=random))
        elif value.is_floating_point():
            value.copy_(torch.randn(value.shape, generator=random) / value[0].numel() ** 0.5)
    return made


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return random_network(1)


@pytest.fixture(scope="module")
def other() -> nn.Module:
    return random_network(2)


def below(prefix: str, state: State) -> State:
    return {f"{prefix}.{key}": value for key, value in state.items()}


def read(path: Path, report: Callable[[str], object] = print, **more: Any) -> Any:
    recipe = {"kind": "checkpoint", "path": str(path), "mean": [0.5] * 3, "std": [0.5] * 3}
    recipe["network"] = {"name": f"timm/{NAME}", "image_size": 32}
    return imported(CheckpointRecipe.model_validate(recipe | more), CLASSES, report).network


def same_logits(found: nn.Module, expected: nn.Module) -> None:
    images = torch.randn((2, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = expected(images)
        assert logits.std() > 1e-2
        torch.testing.assert_close(found(images), logits, rtol=1e-5, atol=1e-5)


def training_state(network: nn.Module) -> State:
    """What else a script saves: of a real optimiser, which has taken a step, and of the command line."""
    copy = random_network(3)
    optimizer = torch.optim.AdamW(copy.parameters())
    copy(torch.zeros(1, 3, 32, 32)).sum().backward()
    optimizer.step()
    arguments = argparse.Namespace(model="x", output=pathlib.PurePosixPath("out").name, lr=0.1)
    return {"optimizer": optimizer.state_dict(), "epoch": 3, "args": arguments, "best": np.float64(0.5)}


def averaged(network: nn.Module) -> nn.Module:
    """torch's own average of one update, which is the network itself."""
    made = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    made.update_parameters(network)
    return made


def two_part(state: State) -> State:
    body = {key: value for key, value in state.items() if not key.startswith("fc.")}
    return below("backbone", body) | {f"classifier.{key}": state[f"fc.{key}"] for key in ("weight", "bias")}


def layers_compiled(network: nn.Module) -> State:
    """Each stage compiled for itself."""
    made = random_network(1)
    for name in ("layer2", "layer3"):
        setattr(made, name, torch.compile(getattr(made, name)))
    made.load_state_dict(
        {
            key.replace("layer2.", "layer2._orig_mod.").replace("layer3.", "layer3._orig_mod."): value
            for key, value in network.state_dict().items()
        }
    )
    return made.state_dict()


EXTRAS = {"criterion.weight": torch.ones(3), "loss_fn.centers": torch.ones(3, 4), "val_acc.correct": torch.tensor(3)}
Made = Callable[[nn.Module, nn.Module], Any]
WRAPPINGS: dict[str, Made] = {
    "plain": lambda m, _: m.state_dict(),
    "parallel": lambda m, _: nn.DataParallel(m).state_dict(),
    "compiled": lambda m, _: torch.compile(m).state_dict(),
    "parallel, compiled": lambda m, _: nn.DataParallel(torch.compile(m)).state_dict(),
    "compiled, parallel": lambda m, _: torch.compile(nn.DataParallel(m)).state_dict(),
    "layers compiled": lambda m, _: layers_compiled(m),
    "nested": lambda m, _: {"state": {"model": {"state_dict": below("model.module._orig_mod", m.state_dict())}}},
    "accuracy beside it": lambda m, _: {"net": below("module", m.state_dict()), "acc": np.float64(93.1), "epoch": 9},
    "lightning": lambda m, _: {"state_dict": below("model", m.state_dict()) | EXTRAS, "hyper_parameters": {"lr": 1}},
    "lightning net": lambda m, _: {"state_dict": below("net._orig_mod", m.state_dict()), "callbacks": {}},
    "lightning itself": lambda m, _: {"state_dict": m.state_dict() | EXTRAS},
    "lightning average": lambda m, o: {
        "state_dict": below("model", o.state_dict()) | below("ema_model", averaged(m).state_dict()) | EXTRAS
    },
    "timm": lambda m, o: {"state_dict": o.state_dict(), "state_dict_ema": m.state_dict()} | training_state(m),
    "timm, parallel": lambda m, o: {
        "state_dict": below("module", o.state_dict()),
        "state_dict_ema": below("module", m.state_dict()),
    },
    "torchvision": lambda m, o: {"model": o.state_dict(), "model_ema": averaged(m).state_dict()} | training_state(m),
    "average alone": lambda m, _: averaged(m).state_dict(),
    "params_ema": lambda m, o: {"params": o.state_dict(), "params_ema": m.state_dict()},
    "ema_state_dict": lambda m, o: {"model_state_dict": o.state_dict(), "ema_state_dict": m.state_dict()},
    "ema": lambda m, o: {"model": o.state_dict(), "ema": {"decay": torch.tensor(0.9), "module": m.state_dict()}},
    "backbone and classifier": lambda m, _: two_part(m.state_dict()),
    "lightning of two parts": lambda m, _: {"state_dict": below("model", two_part(m.state_dict())) | EXTRAS},
    "backbone and classifier apart": lambda m, _: {
        "backbone": {key: value for key, value in m.state_dict().items() if not key.startswith("fc.")},
        "classifier": {"weight": m.state_dict()["fc.weight"], "bias": m.state_dict()["fc.bias"]},
    },
    "dropout before the head": lambda m, _: {k.replace("fc.", "fc.1."): v for k, v in m.state_dict().items()},
    "teacher of other classes": lambda m, _: (
        below("student", m.state_dict()) | below("teacher", random_network(4, classes=9).state_dict())
    ),
    "held twice": lambda m, _: below("model", m.state_dict()) | below("fast._orig_mod", m.state_dict()),
    "parameters": lambda m, _: dict(m.named_parameters()) | dict(m.named_buffers()),
}


@pytest.mark.parametrize("name", WRAPPINGS)
def test_weights_are_found(name: str, network: nn.Module, other: nn.Module, tmp_path: Path) -> None:
    torch.save(WRAPPINGS[name](network, other), tmp_path / "a.pth")
    same_logits(read(tmp_path / "a.pth"), network)


@pytest.mark.parametrize(
    ("made", "keys"),
    [
        ("timm", {"weights": "raw"}),
        ("timm", {"weights": "state_dict"}),
        ("torchvision", {"weights": "model"}),
        ("params_ema", {"weights": "params"}),
        ("lightning average", {"weights": "raw"}),
        ("lightning average", {"prefix": "model"}),
        ("ema", {"weights": "raw"}),
    ],
)
def test_raw_weights_are_taken_where_they_are_asked_for(
    made: str, keys: State, network: nn.Module, other: nn.Module, tmp_path: Path
) -> None:
    torch.save(WRAPPINGS[made](network, other), tmp_path / "a.pth")
    same_logits(read(tmp_path / "a.pth", **keys), other)


def pair(first: nn.Module, second: nn.Module) -> State:
    return {"student": below("module", second.state_dict()), "teacher": below("module", first.state_dict())}


def test_of_a_student_and_its_teacher_one_is_asked_for(network: nn.Module, other: nn.Module, tmp_path: Path) -> None:
    torch.save(pair(network, other), tmp_path / "a.pth")
    with pytest.raises(
        SynthoodError, match=r"several weights fit the network \(student\.module, teacher\.module\); say wh"
    ):
        read(tmp_path / "a.pth")
    same_logits(read(tmp_path / "a.pth", weights="teacher"), network)
    same_logits(read(tmp_path / "a.pth", weights="student"), other)
    flat = below("student", other.state_dict()) | below("teacher", network.state_dict())
    torch.save({"state_dict": flat}, tmp_path / "b.pth")
    with pytest.raises(
        SynthoodError, match=r"\(state_dict\.student, state_dict\.teacher\); say which by `weights`, `prefix`"
    ):
        read(tmp_path / "b.pth")
    same_logits(read(tmp_path / "b.pth", prefix="teacher."), network)


def test_other_names_are_ignored_and_renamed(network: nn.Module, tmp_path: Path) -> None:
    state = {f"trunk.{key}".replace("trunk.fc", "top"): value for key, value in network.state_dict().items()}
    torch.save(state | {"trunk.extra.weight": torch.ones(2)}, tmp_path / "a.pth")
    with pytest.raises(SynthoodError, match=r"unknown trunk\.extra\.weight"):
        read(tmp_path / "a.pth")
    notes: list[str] = []
    same_logits(read(tmp_path / "a.pth", notes.append, ignore=["*.extra.*"]), network)
    assert notes[0].endswith("a.pth: ignored as asked: trunk.extra.weight")
    same_logits(read(tmp_path / "a.pth", ignore=["*.extra.*"], rename={"trunk.": "", "top": "fc"}), network)
    for keys in ({"ignore": ["extra"]}, {"rename": {"tru": ""}}):
        with pytest.raises(SynthoodError, match="no key that `ignore` or `rename` names as"):
            read(tmp_path / "a.pth", **keys)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"weights": "ema"}, "no ema weights in it; take `weights` away"),
        ({"weights": "teacher"}, r"no entry `weights` 'teacher' \(there are state_dict\)"),
        ({"prefix": "student"}, "no weights below prefix student; say which"),
    ],
)
def test_weights_that_are_not_there(keys: State, message: str, network: nn.Module, tmp_path: Path) -> None:
    torch.save({"state_dict": network.state_dict()}, tmp_path / "a.pth")
    with pytest.raises(SynthoodError, match=message):
        read(tmp_path / "a.pth", **keys)


def test_what_was_taken_and_left_out_is_reported(network: nn.Module, other: nn.Module, tmp_path: Path) -> None:
    def notes_of(content: Any) -> list[str]:
        notes: list[str] = []
        torch.save(content, tmp_path / "a.pth")
        read(tmp_path / "a.pth", notes.append)
        return [note.partition("a.pth: ")[2] for note in notes]

    assert notes_of(network.state_dict()) == []
    count = len([key for key in network.state_dict() if not key.endswith("num_batches_tracked")])
    assert notes_of(WRAPPINGS["timm"](network, other)) == [
        "the averaged weights (EMA), state_dict_ema, are taken, not those of state_dict (`weights: raw` takes these)",
        "weights below state_dict_ema",
        f"left out: state_dict ({count})",
    ]
    assert notes_of(WRAPPINGS["lightning of two parts"](network, other)) == [
        "weights below state_dict.model.backbone",
        "last Linear: state_dict.model.classifier.weight",
        "left out: state_dict.criterion (1), state_dict.loss_fn (1), state_dict.val_acc (1)",
    ]
    half = {key: value.half() if value.is_floating_point() else value for key, value in network.state_dict().items()}
    assert notes_of(half) == ["float16 weights, as float32"]


def test_two_last_layers_are_not_guessed_among(network: nn.Module, other: nn.Module, tmp_path: Path) -> None:
    """A whole network beside another classifier of its features: which one the model computes is not in the file."""
    state = below("backbone", network.state_dict()) | below("classifier", other.fc.state_dict())
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(
        SynthoodError, match=r"which is the last layer, backbone\.fc\.weight or classifier\.weight\? say which"
    ):
        read(tmp_path / "a.pth")
    same_logits(read(tmp_path / "a.pth", ignore=["classifier.*"]), network)
    found = read(tmp_path / "a.pth", ignore=["backbone.fc.*"])
    assert torch.equal(found.head.weight, other.fc.weight)


def test_a_head_of_two_layers_is_none_of_ours(network: nn.Module, tmp_path: Path) -> None:
    state = {key.replace("fc.", "fc.2."): value for key, value in network.state_dict().items()}
    torch.save(state | {"fc.0.weight": torch.eye(256), "fc.0.bias": torch.zeros(256)}, tmp_path / "a.pth")
    with pytest.raises(SynthoodError, match=r"missing head\.bias, head\.weight; unknown fc\.0\.bias, fc\.0\.weight"):
        read(tmp_path / "a.pth")


def test_averages_that_do_not_fit_are_not_passed_over(network: nn.Module, tmp_path: Path) -> None:
    larger = random_network(5, classes=9)
    torch.save({"state_dict": network.state_dict(), "state_dict_ema": larger.state_dict()}, tmp_path / "a.pth")
    with pytest.raises(SynthoodError, match=r"averaged weights \(state_dict_ema\) do not fit the network; say which"):
        read(tmp_path / "a.pth")
    same_logits(read(tmp_path / "a.pth", weights="raw"), network)


def test_settings_of_an_average_are_no_average(network: nn.Module, tmp_path: Path) -> None:
    torch.save({"model": network.state_dict(), "ema": {"decay": torch.tensor(0.99)}}, tmp_path / "a.pth")
    same_logits(read(tmp_path / "a.pth"), network)


def test_only_losses_and_metrics_are_left_out_of_the_network_itself(network: nn.Module, tmp_path: Path) -> None:
    """A layer that the network does not have computes something."""
    torch.save(network.state_dict() | {"val_proj.weight": torch.ones(2)}, tmp_path / "a.pth")
    with pytest.raises(SynthoodError, match=r"unknown val_proj\.weight"):
        read(tmp_path / "a.pth")


def test_an_average_of_no_step_is_not_preferred(network: nn.Module, other: nn.Module, tmp_path: Path) -> None:
    """It holds the weights that training began from."""
    begun = AveragedModel(other, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True).state_dict()
    torch.save({"model": network.state_dict(), "average": begun}, tmp_path / "a.pth")
    with pytest.raises(SynthoodError, match=r"several weights fit the network \(model, average\.module\)"):
        read(tmp_path / "a.pth")


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_safetensors_are_known_by_their_content(suffix: str, network: nn.Module, tmp_path: Path) -> None:
    save_file(below("model", network.state_dict()), tmp_path / f"a.{suffix}")
    same_logits(read(tmp_path / f"a.{suffix}"), network)


def test_int8_is_not_read_as_weights(network: nn.Module, tmp_path: Path) -> None:
    state: dict[str, Tensor] = dict(network.state_dict())
    state["fc.weight"] = (state["fc.weight"] * 100).to(torch.int8)
    save_file(state, tmp_path / "a.safetensors")
    with pytest.raises(SynthoodError, match=r"fc\.weight is of int8, perhaps quantised; save the float weights"):
        read(tmp_path / "a.safetensors")
