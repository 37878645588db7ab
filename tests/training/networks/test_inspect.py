"""`synthood checkpoint show`: entries, groups, classes and the network, and no codes for a terminal."""

import argparse
from pathlib import Path

import pytest
import torch
import torchvision
import yaml
from safetensors.torch import save_file

from synthood.cli import main
from synthood.training.networks.architectures.base import NetworkSettings, build
from synthood.training.networks.architectures.dense import DenseNetwork
from synthood.training.networks.architectures.from_torchvision import TorchvisionNetwork
from synthood.training.networks.architectures.residual import Network
from synthood.training.networks.checkpoint_settings import CheckpointRecipe
from synthood.training.networks.inspect import shown


def pasted(text: str) -> CheckpointRecipe:
    """The lines to paste, as the configuration reads them once mean and deviation are filled in."""
    given = yaml.safe_load(text[text.index("  kind: checkpoint") :])
    assert (given["mean"], given["std"]) == (None, None)
    return CheckpointRecipe.model_validate(given | {"mean": [0.5] * 3, "std": [0.5] * 3})


@pytest.mark.parametrize(
    "settings",
    [
        Network(name="resnet32", shortcut="padded"),
        Network(name="resnet18", width=8),
        Network(name="resnet50", width=8, stem=224),
        Network(name="wrn-28-10", width=8),
        DenseNetwork(name="densenet-bc-100", growth=4),
        TorchvisionNetwork(name="torchvision/mobilenet_v3_small"),
        TorchvisionNetwork(name="torchvision/shufflenet_v2_x0_5"),
    ],
    ids=lambda settings: settings.name,
)
def test_the_likely_network_can_be_pasted(settings: NetworkSettings, tmp_path: Path) -> None:
    state = build(settings, 7, seed=0).state_dict()
    save_file({f"module.{key}": value.contiguous() for key, value in state.items()}, tmp_path / "a.safetensors")
    text = shown(tmp_path / "a.safetensors")
    assert pasted(text).network == settings
    assert pasted(text).path == str(tmp_path / "a.safetensors")
    assert "likely network, of 7 classes (weights below module):" in text


def test_entries_averages_and_groups(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = (torchvision.models.mobilenet_v2(num_classes=5).state_dict() for _ in range(2))
    content = {"state_dict": first, "state_dict_ema": second, "epoch": 3, "args": argparse.Namespace(lr=1)}
    torch.save(content, tmp_path / "a.pth.tar")
    main(["checkpoint", "show", str(tmp_path / "a.pth.tar")])
    lines = capsys.readouterr().out.splitlines()
    assert {"  epoch: 3", "  args: Namespace, not read", "  state_dict_ema: 314 entries"} <= set(lines)
    assert "state_dict: 314 tensors (float32), 2,230,277 parameters" in lines
    assert "  an average of weights (EMA)" in lines
    assert "  first layer: features.0.0.weight [32, 3, 3, 3]" in lines
    assert "  last Linear: classifier.1.weight [5, 1280]: 5 classes" in lines
    assert "  network: {name: torchvision/mobilenet_v2}" in lines
    assert any(
        line.startswith("likely network, of 5 classes (the averaged weights (EMA), state_dict_ema,") for line in lines
    )


def test_nothing_of_a_file_reaches_the_terminal_as_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b[31mred\n\x07\u202e" + "x" * 500
    torch.save({evil: torch.ones(2, 2), "note": evil, evil + "n": {evil: torch.ones(2)}}, tmp_path / "a.pt")
    main(["checkpoint", "show", str(tmp_path / "a.pt")])
    out = capsys.readouterr().out
    assert "\\x1b[31mred\\n\\x07\\u202ex" in out
    assert max(map(len, out.splitlines())) < 700
    assert all(letter.isprintable() or letter == "\n" for letter in out)


def test_a_file_that_is_none_ends_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["checkpoint", "show", str(tmp_path)])
    assert capsys.readouterr().err == f"error: {tmp_path}: is a folder, not a checkpoint; name the file in it\n"
