"""A batch in parts, for want of memory: the gradient of the whole batch, and what is told."""

import copy
import csv
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from synthood.common.images import ImageSet
from synthood.common.iterate import ResumeFile
from synthood.common.seeds import global_seed
from synthood.errors import SynthoodError
from synthood.training.fit import train
from synthood.training.forward import Compiled, ForwardPass, frozen_statistics
from synthood.training.methods.rotation import Rotation
from synthood.training.methods.supervised_contrast import SupCon
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.from_timm import TimmNetwork
from synthood.training.networks.architectures.residual import Network, ResNet
from synthood.training.record import History
from synthood.training.train import write_history

CPU = torch.device("cpu")
SMALL = Network(name="resnet8", width=8)


def given(count: int) -> Tensor:
    return torch.randn((count, 3, 8, 8), generator=torch.Generator().manual_seed(0))


def test_parts_have_the_gradient_of_the_whole_loss() -> None:
    """Of a loss that couples samples of all parts; normalisation sees parts and follows each once."""
    network = build(SMALL, 3, seed=0).train()
    plain = copy.deepcopy(network)
    inputs = given(11)
    is_real = torch.ones(7, dtype=torch.bool)
    features = ForwardPass(network, network.features, torch.float32, micro_batches=3)(inputs[:7], is_real, [inputs[7:]])
    (features @ features.T).softmax(1).diagonal().sum().backward()
    whole = torch.cat([plain.features(part.contiguous(memory_format=torch.channels_last)) for part in inputs.split(4)])
    (whole @ whole.T).softmax(1).diagonal().sum().backward()
    assert torch.equal(features, whole)
    for (name, one), two in zip(network.named_parameters(), plain.parameters(), strict=True):
        if name.startswith("head"):
            assert one.grad is None
        else:
            assert one.grad is not None
            assert two.grad is not None
            torch.testing.assert_close(one.grad, two.grad, msg=name)
    for (name, buffer), expected in zip(network.named_buffers(), plain.buffers(), strict=True):
        assert torch.equal(buffer, expected), name


def test_parts_that_are_computed_again_drop_the_same_units() -> None:
    """The second pass over a part, for its gradient, repeats the first one's draws."""
    network = build(
        TimmNetwork(name="timm/test_vit", image_size=32, options={"drop_path_rate": 0.5}), 3, seed=0
    ).train()
    inputs, gradients = torch.rand((6, 3, 32, 32), generator=torch.Generator().manual_seed(0)), []
    forward_pass = ForwardPass(network, network.features, torch.float32, micro_batches=3)
    for features in (
        lambda: forward_pass(inputs, torch.ones(6, dtype=torch.bool), []),
        lambda: torch.cat([network.features(part) for part in inputs.split(2)]),
    ):
        network.zero_grad()
        with global_seed(CPU, 0):
            features().square().sum().backward()
        gradients.append([each.grad.clone() for each in network.parameters() if each.grad is not None])
    for one, two in zip(*gradients, strict=True):
        torch.testing.assert_close(one, two)


@pytest.mark.parametrize("graphs", [False, True])
def test_the_largest_batches_are_compiled_and_others_are_not(monkeypatch: pytest.MonkeyPatch, graphs: bool) -> None:
    """With graphs the features are copied out of the memory that the next batch's are written to."""
    modes: list[str | None] = []
    memory = torch.zeros(3, 1)

    def compiler(function: Any, dynamic: bool, mode: str | None) -> Any:
        modes.append(mode)

        def compiled(inputs: Tensor) -> Tensor:
            return memory[: len(inputs)].copy_(inputs.sum((1, 2, 3))[:, None] + 1000)

        return compiled

    monkeypatch.setattr(torch, "compile", compiler)
    features = Compiled(lambda inputs: inputs.sum((1, 2, 3))[:, None], graphs)
    assert modes == ["reduce-overhead" if graphs else None]
    first, second = torch.ones(3, 1, 2, 2), torch.full((3, 1, 2, 2), 2.0)
    assert features(first[:2]).tolist() == [[1004.0]] * 2
    seen = features(first)
    assert features(first[:2]).tolist() == [[4.0], [4.0]]
    assert features(second).tolist() == [[1008.0]] * 3
    assert seen.tolist() == [[1004.0 if graphs else 1008.0]] * 3


def test_still_normalisation_remembers_nothing() -> None:
    network = build(SMALL, 3, seed=0).train()
    before = copy.deepcopy(network.state_dict())
    with frozen_statistics(network):
        quiet = network.features(given(6))
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert torch.equal(network.features(given(6)), quiet)
    assert not torch.equal(network.stem[1].running_mean, before["stem.1.running_mean"])
    assert network.stem[1].num_batches_tracked == 1


class Trainer:
    def __init__(self, make_images: Any, make_settings: Any) -> None:
        self.real: ImageSet = make_images(20, 0)
        self.validation: ImageSet = make_images(9, 1)
        self.make_settings = make_settings

    def __call__(self, resume: ResumeFile | None = None, **changes: Any) -> tuple[ResNet, History]:
        settings = self.make_settings(**changes)
        resume = resume or ResumeFile(None, "")
        classifier, _, history = train(settings, 0, self.real, self.validation, None, CPU, resume)
        return classifier.network, history


@pytest.fixture
def trainer(make_images: Any, make_settings: Any) -> Trainer:
    return Trainer(make_images, make_settings)


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A machine whose memory holds the layers of five images; which numbers of images were trained on."""
    original, seen = ResNet.features, []

    def features(self: ResNet, images: Tensor) -> Tensor:
        if self.training and len(images) > 5:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        if self.training:
            seen.append(len(images))
        return original(self, images)

    monkeypatch.setattr(ResNet, "features", features)
    return seen


def test_where_memory_runs_out_the_batch_goes_in_parts(
    trainer: Trainer, narrow: list[int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, history = trainer()
    lines = [line for line in capsys.readouterr().out.splitlines() if "out of memory" in line]
    assert lines == [
        "training: out of memory at step 0; from now on 4 images at a time instead of 8, with the gradient of the "
        "whole batch; batch normalisation sees 2 parts of a batch"
    ]
    assert [row["micro_batches"] for row in history] == [2.0, 2.0]
    assert set(narrow) == {4, 2}  # the last batch has four images
    write_history(tmp_path / "history.csv", [history[0] | {"epoch": 7.0}, *history])
    with (tmp_path / "history.csv").open() as stream:
        assert {row["micro_batches"] for row in csv.DictReader(stream)} == {"2"}
    first = {key: value for key, value in history[0].items() if key != "micro_batches"}
    write_history(tmp_path / "history.csv", [first, *history])
    with (tmp_path / "history.csv").open() as stream:
        assert [row["micro_batches"] for row in csv.DictReader(stream)] == ["1", "2", "2"]


def test_terms_see_the_whole_batch(trainer: Trainer, narrow: list[int]) -> None:
    """Four turns of eight images are 32; a contrast of samples and a mean over turns need all of them."""
    terms = {"rotation": Rotation(), "contrastive": SupCon(kind="supcon")}
    _, history = trainer(**terms)
    assert history[0]["micro_batches"] == 8.0
    assert max(narrow) == 4
    assert history[0]["supcon"] > 0


def test_parts_resume_to_the_same_bytes(trainer: Trainer, narrow: list[int], tmp_path: Path) -> None:
    class Interrupted(ResumeFile):
        def save(self, name: str, state: dict[str, Any]) -> None:
            super().save(name, state)
            if state["step"] == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer(Interrupted(tmp_path, "job", 0))
    resumed, history = trainer(ResumeFile(tmp_path, "job"))
    whole, expected = trainer()
    assert history == expected
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


@pytest.mark.usefixtures("narrow")
def test_where_nothing_fits_it_says_so(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    def features(self: ResNet, images: Tensor) -> Tensor:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(ResNet, "features", features)
    with pytest.raises(
        SynthoodError, match=re.escape("out of memory at step 0 with 2 images at a time; take a smaller batch_size, a")
    ):
        trainer()


def test_other_errors_are_not_taken_for_want_of_memory(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    def features(self: ResNet, images: Tensor) -> Tensor:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(ResNet, "features", features)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        trainer()
