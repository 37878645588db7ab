"""A loss in a file of the user's: it trains, resumes and is refused in one sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from synthood.errors import SynthoodError
from synthood.training.methods.custom import CustomLoss
from synthood.training.methods.term import Context
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.residual import Network
from synthood.workflow.code import code_of_plugin
from toy_training import batch_of, reaches

EXAMPLE = Path(__file__).parents[3] / "examples/custom_loss/center_loss.py"
HEAD = """import torch
from torch import nn

class Loss(nn.Module):
    def __init__(self, features, classes, weight=1.0):
        super().__init__()
        self.weight = weight
"""
Make = Callable[..., CustomLoss]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A loss whose `forward` has this body."""

    def of(body: str, head: str = HEAD, **values: Any) -> CustomLoss:
        file = tmp_path / "mine.py"
        file.write_text(f"{head}\n    def forward(self, batch):\n        {body}\n")
        return CustomLoss(file=str(file), values=values)

    return of


def test_the_example_is_half_the_mean_squared_distance_to_the_centers() -> None:
    network = build(Network(name="resnet8", width=8), 3, seed=0)
    settings = CustomLoss.model_validate({"file": str(EXAMPLE), "class": "CenterLoss", "values": {"weight": 0.5}})
    term = settings.terms(Context(network.head.in_features, 3))["custom"]
    batch = batch_of(network, torch.tensor([0, 1, 1]))
    (loss,) = term(batch).values()
    torch.testing.assert_close(loss, 0.5 * batch.features.square().sum() / 6)
    assert reaches(network, loss)
    assert [name for name, _ in term.named_parameters()] == ["loss.centers"]
    settings.dry_run()


def test_losses_may_have_names(make: Make) -> None:
    loss = make("return {'near': self.weight * batch.features.sum(), 'far': batch.logits.sum()}", weight=0.0)
    loss.dry_run()
    batch = batch_of(build(Network(name="resnet8", width=8), 3, seed=0), torch.arange(3))
    found = loss.terms(Context(32, 3))["custom"](batch)
    assert list(found) == ["near", "far"]
    assert float(found["near"].detach()) == 0


BROKEN = {
    "return batch.logits": r"mine\.py: Loss: custom must be a loss of the batch, a tensor \[\], got \[6, 3\]",
    "return 1.0": r"mine\.py: Loss: custom must be a loss of the batch, a tensor \[\], got float",
    "return batch.logits.sum() / 0": r"mine\.py: Loss: custom is not finite \(.*inf\) at the first step",
    "return batch.logit.sum()": r"mine\.py: Loss: AttributeError: .*'logit' \(line 10\)",
    "batch.labels.zero_(); return batch.logits.sum()": r"mine\.py: Loss: changes batch\.labels, which other losses see",
}


@pytest.mark.parametrize("body", BROKEN)
def test_a_broken_loss_is_reported_with_its_file(make: Make, body: str) -> None:
    with pytest.raises(SynthoodError, match=BROKEN[body]):
        make(body).dry_run()


def test_a_file_that_cannot_be_used_is_reported(make: Make, tmp_path: Path) -> None:
    with pytest.raises(SynthoodError, match=r"mine\.py: ZeroDivisionError: division by zero \(line 1\)"):
        make("return 0", head="1 / 0\n" + HEAD).dry_run()
    with pytest.raises(SynthoodError, match=r"mine\.py: Loss: must make a torch\.nn\.Module, got Loss"):
        make("return 0", head="class Loss:\n    def __init__(self, features, classes): ...\n").dry_run()
    with pytest.raises(SynthoodError, match=r"mine\.py: Loss: TypeError: .*unexpected keyword argument 'weigth'"):
        make("return 0", weigth=1.0).dry_run()
    with pytest.raises(SynthoodError, match=r"none\.py: not found"):
        CustomLoss(file=str(tmp_path / "none.py")).dry_run()


def test_the_file_and_its_neighbours_are_part_of_the_digest(make: Make, tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("SCALE = 2.0\n")
    loss = make("return SCALE * batch.logits.sum()", head="from .helper import SCALE\n" + HEAD)
    loss.dry_run()
    before = code_of_plugin(loss)
    (tmp_path / "helper.py").write_text("SCALE = 2.0  # two\n")
    assert code_of_plugin(loss) == before
    (tmp_path / "helper.py").write_text("SCALE = 3.0\n")
    assert code_of_plugin(loss) != before
