"""CutMix, mixup and RegMixup: images and labels mixed by the same shares."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from synthood.training.methods.mixing import CutMix, MixedAuxiliary, Mixup, RegMixup, boxes
from synthood.training.methods.term import AuxiliaryInputs, Batch
from synthood.training.terms.losses import cross_entropy

KINDS: list[CutMix | Mixup] = [CutMix(kind="cutmix"), Mixup(kind="mixup")]
LABELS = torch.arange(200) % 4


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def levels() -> Tensor:
    """Images whose every pixel is their index."""
    return torch.arange(200.0)[:, None, None, None].expand(200, 3, 12, 12).contiguous()


@pytest.mark.parametrize("settings", KINDS)
def test_labels_follow_the_pixels(settings: CutMix | Mixup) -> None:
    """The mean pixel is the share-weighted mean of two indices; targets have the same shares."""
    images, targets = settings.mixed(levels(), LABELS, 4, random())
    torch.testing.assert_close(targets.sum(1), torch.ones(200))
    for index in range(200):
        if settings.kind == "cutmix":
            found, counts = images[index, 0].unique(return_counts=True)
            expected = torch.zeros(4)
            for value, count in zip(found, counts, strict=True):
                expected[int(LABELS[int(value)])] += count / 144
            torch.testing.assert_close(targets[index], expected)
            assert len(found) <= 2
        else:
            assert images[index].amax() == images[index].amin()
            partners = [j for j in range(200) if j != index and LABELS[j] != LABELS[index]]
            share = targets[index, LABELS[index]]
            if share < 0.999:
                other = (images[index, 0, 0, 0] - share * index) / (1 - share)
                assert min(abs(float(other) - j) for j in partners) < 0.05


def test_mixup_shares_have_the_moments_of_beta() -> None:
    labels = torch.arange(4000)
    images = F.one_hot(labels, 4000)[:, :3, None, None].float()
    _, targets = Mixup(kind="mixup", beta=2.0).mixed(images, labels, 4000, random())
    share = targets.diagonal()
    assert float(share.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(share.var()) == pytest.approx(1 / 20, abs=0.003)  # 1 / (4 (2 beta + 1))


@pytest.mark.parametrize("settings", KINDS)
def test_probability_is_that_of_mixing_at_all(settings: CutMix | Mixup) -> None:
    images, _ = settings.model_copy(update={"probability": 0.0}).mixed(levels(), LABELS, 4, random())
    assert torch.equal(images, levels())
    half, _ = settings.model_copy(update={"probability": 0.5}).mixed(levels(), LABELS, 4, random())
    untouched = (half == levels()).flatten(1).all(1).float().mean()
    assert 0.4 < untouched < 0.75


def test_boxes_have_the_area_that_is_left() -> None:
    """In the middle of an image of 10 x 20 pixels, and cut at a corner."""
    centres = torch.tensor([[0.5, 0.5], [0.0, 0.0], [0.5, 0.5]])
    inside = boxes(torch.tensor([0.64, 0.64, 1.0]), centres, 10, 20)
    assert inside.sum((1, 2)).tolist() == [6 * 12, 3 * 6, 0]
    assert inside[0, 2:8, 4:16].all()
    assert inside[1, :3, :6].all()


def test_soft_targets_equal_weighted_hard_ones() -> None:
    logits = torch.randn((5, 4), generator=random())
    first, second, share = torch.tensor([0, 1, 2, 3, 0]), torch.tensor([1, 1, 3, 0, 2]), torch.rand(5)
    targets = share[:, None] * F.one_hot(first, 4) + (1 - share)[:, None] * F.one_hot(second, 4)
    apart = [F.cross_entropy(logits, labels, reduction="none", label_smoothing=0.1) for labels in (first, second)]
    expected = (share * apart[0] + (1 - share) * apart[1]).mean()
    torch.testing.assert_close(cross_entropy(logits, targets, 0.1), expected)


def test_regmixup_is_its_formula_and_reaches_the_network() -> None:
    term = MixedAuxiliary(RegMixup(kind="regmixup", weight=0.5), 4, 0.0)
    asked = term.auxiliary_inputs(levels(), LABELS, random())
    again, targets = Mixup(kind="mixup", beta=10.0).mixed(levels(), LABELS, 4, random())
    assert torch.equal(asked.inputs, again)
    assert torch.equal(asked.targets, targets)
    logits = torch.randn((200, 4), generator=random(), requires_grad=True)
    batch = Batch(levels(), LABELS, LABELS, logits, logits, torch.nn.Linear(4, 4), random())
    auxiliary: dict[str, Any] = {"regmixup": AuxiliaryInputs(asked.inputs, targets, logits, logits)}
    loss = term(Batch(**(vars(batch) | {"auxiliary": auxiliary})))["regmixup"]
    expected = -0.5 * (targets * logits.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(loss, expected)
    loss.backward()
    torch.testing.assert_close(logits.grad, 0.5 * (logits.detach().softmax(1) - targets) / 200)
