"""The averaged model, the way back from a loss that is not finite, and AdamW."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from synthood.common.images import ImageSet
from synthood.common.iterate import ResumeFile
from synthood.errors import SynthoodError
from synthood.training import fit
from synthood.training.fit import History, learning_rate, train
from synthood.training.methods.rotation import Rotation
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.residual import Network
from synthood.training.networks.model import Classifier
from synthood.training.record import Record
from synthood.training.settings import TrainSettings
from synthood.training.stability import Best, Rollback, beside_the_network, optimizer_of, set_rate

CPU = torch.device("cpu")
SMALL = Network(name="resnet8", width=8)
UNSTEADY = {"epochs": 8, "learning_rate": 0.8, "final_learning_rate": 0.8}
"""The last epoch is not the best."""


class Interrupted(ResumeFile):
    """Saves after every step, and breaks off once `last` steps are saved."""

    def __init__(self, path: Path, last: int) -> None:
        super().__init__(path, "job", save_seconds=0)
        self.last = last

    def save(self, name: str, state: dict[str, Any]) -> None:
        super().save(name, state)
        if state["step"] == self.last:
            raise KeyboardInterrupt


class Trainer:
    def __init__(self, make_images: Any, make_settings: Any) -> None:
        self.make_settings = make_settings
        self.real: ImageSet = make_images(20, 0)
        self.validation: ImageSet = make_images(9, 1)

    def __call__(self, resume: ResumeFile | None = None, **changes: Any) -> tuple[Classifier, History]:
        settings: TrainSettings = self.make_settings(**changes)
        resume = resume or ResumeFile(None, "")
        classifier, _, history = train(settings, 0, self.real, self.validation, None, CPU, resume)
        return classifier, history


@pytest.fixture
def trainer(make_images: Any, make_settings: Any) -> Trainer:
    return Trainer(make_images, make_settings)


def state_bytes(classifier: Classifier) -> list[bytes]:
    return [value.contiguous().numpy().tobytes() for value in classifier.network.state_dict().values()]


def test_the_average_is_the_model(trainer: Trainer) -> None:
    """A decay next to 0 gives the network itself, up to rounding; a long one another that validation sees too."""
    plain, history = trainer()
    short, same = trainer(weight_average=1e-9)
    long, other = trainer(weight_average=0.9)
    for one, two in zip(plain.network.parameters(), short.network.parameters(), strict=True):
        torch.testing.assert_close(one, two)
    assert same == history
    assert state_bytes(long) != state_bytes(plain)
    assert [row["loss"] for row in other] == [row["loss"] for row in history]
    assert other[-1]["val_accuracy"] == fit.accuracy(long, trainer.validation)
    assert not long.network.training


@pytest.mark.parametrize(
    "changes",
    [{"weight_average": 0.9}, {"optimizer": "adamw", "learning_rate": 0.003}, {"on_nan": "rollback"}],
    ids=["average", "adamw", "rollback"],
)
def test_options_resume_to_the_same_bytes(trainer: Trainer, tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(KeyboardInterrupt):
        trainer(Interrupted(tmp_path, 4), **changes)
    resumed, history = trainer(ResumeFile(tmp_path, "job"), **changes)
    whole, expected = trainer(**changes)
    assert state_bytes(resumed) == state_bytes(whole)
    assert history == expected


def test_a_way_back_that_is_not_taken_changes_nothing(trainer: Trainer) -> None:
    plain, history = trainer()
    careful, same = trainer(on_nan="rollback")
    assert state_bytes(plain) == state_bytes(careful)
    assert same == history


def steep_rate(recipe: Any, step: int, total: int) -> float:
    return 1e38 if step == 3 else learning_rate(recipe, step, total)


@pytest.fixture
def steep(monkeypatch: pytest.MonkeyPatch) -> None:
    """A schedule that leaves the road before the second epoch's second step, unless it is halved."""
    monkeypatch.setattr(fit, "learning_rate", steep_rate)


@pytest.mark.usefixtures("steep")
@pytest.mark.parametrize("every", [1, 3])
def test_losses_that_are_read_later_lead_to_the_same_weights(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    """Steps after the one that went wrong are taken again; where there is no way back, that one is named."""
    monkeypatch.setattr(Record, "due", lambda self: len(self.waiting) >= every)
    with pytest.raises(SynthoodError, match=r"cross_entropy became (nan|inf) at epoch 1, step 4 with"):
        trainer()
    classifier, history = trainer(on_nan="rollback")
    monkeypatch.undo()
    monkeypatch.setattr(fit, "learning_rate", steep_rate)
    same, expected = trainer(on_nan="rollback")
    assert state_bytes(classifier) == state_bytes(same)
    assert history == expected


@pytest.mark.usefixtures("steep")
def test_the_way_back_leads_to_the_epochs_start_at_half_the_rate(
    trainer: Trainer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Step 3 is the second epoch's first and leaves weights that make step 4's loss infinite: it is taken again from
    the weights of three steps."""
    with pytest.raises(SynthoodError, match=r"became (nan|inf) at epoch 1, step 4"):
        trainer()
    classifier, history = trainer(on_nan="rollback")
    assert "a loss is not finite at step 4; on from epoch 1's start at half the rate" in capsys.readouterr().out
    with pytest.raises(KeyboardInterrupt):
        trainer(Interrupted(tmp_path / "three", 3))
    settings = trainer.make_settings().recipe
    assert history[-1]["learning_rate"] == learning_rate(settings, 5, 6) / 2
    for last in (4, 5):
        with pytest.raises(KeyboardInterrupt):
            trainer(Interrupted(tmp_path / str(last), last), on_nan="rollback")
        resumed, same = trainer(ResumeFile(tmp_path / str(last), "job"), on_nan="rollback")
        assert state_bytes(resumed) == state_bytes(classifier)
        assert same == history
    kept = torch.load(tmp_path / "three" / "training.pt", weights_only=True)["state"]["network"]
    assert all(value.isfinite().all() for value in kept.values())


def test_the_way_back_is_taken_once(trainer: Trainer) -> None:
    with pytest.raises(SynthoodError, match=re.compile("with learning rate")) as caught:
        trainer(on_nan="rollback", learning_rate=1e30)
    assert "became" in str(caught.value)


def test_parts_come_back_as_they_were_kept() -> None:
    network = build(SMALL, 2, seed=0)
    optimizer = optimizer_of(network, "sgd", 0.1, 0.9, 0.0)
    way = Rollback({"network": network, "optimizer": optimizer})
    images = torch.randn((4, 3, 8, 8), generator=torch.Generator().manual_seed(0))

    def step() -> None:
        network(images).square().sum().backward()
        optimizer.step()

    step()
    before = copy.deepcopy({"network": network.state_dict(), "optimizer": optimizer.state_dict()["state"]})
    way.snapshot()
    step()
    assert not torch.equal(network.head.weight, before["network"]["head.weight"])
    way.restore()
    assert (way.used, way.factor) == (True, 0.5)
    for key, value in network.state_dict().items():
        assert torch.equal(value, before["network"][key])
    for index, entry in optimizer.state_dict()["state"].items():
        assert torch.equal(entry["momentum_buffer"], before["optimizer"][index]["momentum_buffer"])
    step()
    way.restore()  # what is kept stays as it was
    assert torch.equal(network.head.weight, before["network"]["head.weight"])


def test_adamw_by_hand() -> None:
    """The first step is of length rate against the sign of the gradient, after decay by rate x weight_decay."""
    network = build(SMALL, 2, seed=0)
    optimizer = optimizer_of(network, "adamw", 0.01, 0.8, 0.5)
    assert optimizer.param_groups[0]["betas"] == (0.8, 0.999)
    before = network.head.bias.detach().clone()
    network.head.bias.grad = torch.tensor([2.0, -0.1])
    optimizer.step()
    expected = before * (1 - 0.01 * 0.5) - 0.01 * torch.tensor([1.0, -1.0])
    torch.testing.assert_close(network.head.bias.detach(), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_the_last_layer_may_have_a_rate_of_its_own(kind: str) -> None:
    """Every parameter is in one group, and the rates keep their ratio on a schedule."""
    network = build(SMALL, 2, seed=0)
    optimizer = optimizer_of(network, kind, 0.1, 0.9, 0.0, last_layer=0.4)
    set_rate(optimizer, 0.05)
    assert [group["lr"] for group in optimizer.param_groups] == [0.05, pytest.approx(0.2)]
    head, grouped = list(network.head.parameters()), [group["params"] for group in optimizer.param_groups]
    assert [id(p) for p in grouped[1]] == [id(p) for p in head]
    assert {id(p) for group in grouped for p in group} == {id(p) for p in network.parameters()}
    assert sum(map(len, grouped)) == len(list(network.parameters()))
    plain = optimizer_of(network, kind, 0.1, 0.9, 0.0)
    set_rate(plain, 0.05)
    assert [group["lr"] for group in plain.param_groups] == [0.05]
    assert "factor" not in plain.param_groups[0]


def test_adamw_learns(trainer: Trainer) -> None:
    _, history = trainer(optimizer="adamw", learning_rate=0.003, weight_decay=0.01, epochs=12)
    assert history[-1]["loss"] < 0.8 * history[0]["loss"]


def test_plain_momentum_by_hand() -> None:
    """Steps of g, then g + 0.9 g; after Nesterov 1.9 g, then 2.71 g."""
    for nesterov, lengths in ((False, (1.0, 1.9)), (True, (1.9, 2.71))):
        network = build(SMALL, 2, seed=0)
        optimizer = optimizer_of(network, "sgd", 0.1, 0.9, 0.0, nesterov=nesterov)
        at = network.head.bias.detach().clone()
        for length in lengths:
            network.head.bias.grad = torch.tensor([2.0, -0.1])
            optimizer.step()
            at = at - 0.1 * length * torch.tensor([2.0, -0.1])
            torch.testing.assert_close(network.head.bias.detach(), at)


def test_what_learns_beside_the_network_shares_its_sgd() -> None:
    """Its groups have rates of their own, in the ratio of the network's rate to its highest."""
    network, first, second = build(SMALL, 2, seed=0), torch.nn.Linear(2, 3), torch.nn.Linear(3, 1)
    second.learning_rate = 0.01  # type: ignore[assignment]  # as a term has it
    beside = beside_the_network(torch.nn.ModuleDict({"first": first, "second": second}), 1e-4)
    assert [(rate, [p.shape for p in own]) for rate, own in beside.items()] == [
        (1e-4, [p.shape for p in first.parameters()]),
        (0.01, [p.shape for p in second.parameters()]),
    ]
    optimizer = optimizer_of(network, "sgd", 0.005, 0.9, 5e-4, beside=beside)
    set_rate(optimizer, 0.001)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.001, 2e-5, 0.002])
    assert all(group["weight_decay"] == 5e-4 and group["nesterov"] for group in optimizer.param_groups)
    before = first.bias.detach().clone()
    first.bias.grad = torch.tensor([1.0, 0.0, -2.0])
    optimizer.step()
    moved = torch.tensor([1.0, 0.0, -2.0]) + 5e-4 * before
    torch.testing.assert_close(first.bias.detach(), before - 2e-5 * 1.9 * moved, atol=1e-9, rtol=1e-6)


def test_best_is_the_latest_of_equals() -> None:
    network, beside = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    best = Best({"network": network, "terms": beside})
    for epoch, accuracy in enumerate([0.5, 0.75, 0.75, 0.7, float("nan")]):
        for module in (network, beside):
            torch.nn.init.constant_(module.weight, epoch)
        best.offer(epoch, accuracy)
    copied = Best({"network": network, "terms": beside})
    copied.load_state_dict(copy.deepcopy(best.state_dict()))
    for one in (best, copied):
        torch.nn.init.constant_(network.weight, 9.0)
        one.restore()
        assert (one.epoch, one.accuracy) == (2, 0.75)
        assert [float(module.weight.detach()) for module in (network, beside)] == [2.0, 2.0]


@pytest.mark.parametrize("more", [{}, {"weight_average": 0.7}, {"on_nan": "rollback"}])
def test_the_best_epoch_is_the_model(trainer: Trainer, more: dict[str, Any], tmp_path: Path) -> None:
    """Its accuracy is the history's best, on validation images alone; training goes on as if nothing were kept."""
    changes = {**UNSTEADY, **more}
    last, history = trainer(**changes)
    kept, same = trainer(**changes, keep="best")
    assert history == same
    accuracies = [row["val_accuracy"] for row in history]
    best = max(index for index, found in enumerate(accuracies) if found == max(accuracies))
    assert best < 7  # else the test would show nothing
    assert fit.accuracy(kept, trainer.validation) == max(accuracies)
    assert fit.accuracy(last, trainer.validation) == accuracies[-1]
    assert state_bytes(kept) != state_bytes(last)
    recipe = trainer.make_settings(**changes, keep="best").recipe
    assert fit.kept_epoch(recipe, history) is history[best]
    assert fit.kept_epoch(trainer.make_settings(**changes).recipe, history) is history[-1]
    for step in (1, 3 * best + 4, 24):  # before the best epoch, after it, at the end
        place = tmp_path / str(step)
        with pytest.raises(KeyboardInterrupt):
            trainer(Interrupted(place, step), **changes, keep="best")
        resumed, again = trainer(ResumeFile(place, "job"), **changes, keep="best")
        assert state_bytes(resumed) == state_bytes(kept)
        assert again == history


def test_the_best_epochs_heads_belong_to_its_network(trainer: Trainer) -> None:
    """What `rotation` trains beside the network is that of the same epoch."""
    sets = trainer.real, trainer.validation, None, CPU, ResumeFile(None, "")
    changes: dict[str, Any] = {**UNSTEADY, "rotation": Rotation()}
    _, last, history = train(trainer.make_settings(**changes), 0, *sets)
    network, kept, _ = train(trainer.make_settings(**changes, keep="best"), 0, *sets)
    best = int(fit.kept_epoch(trainer.make_settings(**changes, keep="best").recipe, history)["epoch"])
    assert best < 7
    assert not torch.equal(kept["rotation"].layer.weight, last["rotation"].layer.weight)
    seen: dict[str, torch.Tensor] = {}

    class Watching(ResumeFile):
        def save(self, name: str, state: dict[str, Any]) -> None:
            if state["step"] == 3 * (best + 1):
                seen.update(
                    copy.deepcopy(state["state"]["terms"]), head=state["state"]["network"]["head.weight"].clone()
                )

    watching = Watching(Path("none"), "job", save_seconds=0)
    train(trainer.make_settings(**changes), 0, *sets[:-1], watching)
    assert torch.equal(kept["rotation"].layer.weight, seen["rotation.layer.weight"])
    assert torch.equal(network.network.head.weight, seen["head"])


def test_sgd_for_heads_goes_with_sgd_alone(trainer: Trainer) -> None:
    with pytest.raises(ValidationError, match="head_optimizer sgd shares the network's momentum and decay"):
        trainer.make_settings(optimizer="adamw", head_optimizer="sgd")


def test_heads_by_sgd_resume_to_the_same_bytes(trainer: Trainer, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"rotation": Rotation(), "head_optimizer": "sgd", "head_learning_rate": 0.1}
    whole, history = trainer(**changes)
    adam, other = trainer(**(changes | {"head_optimizer": "adam"}))
    assert history[0]["rotation"] != other[0]["rotation"]
    assert state_bytes(whole) != state_bytes(adam)
    with pytest.raises(KeyboardInterrupt):
        trainer(Interrupted(tmp_path, 4), **changes)
    resumed, again = trainer(ResumeFile(tmp_path, "job"), **changes)
    assert (state_bytes(resumed), again) == (state_bytes(whole), history)
