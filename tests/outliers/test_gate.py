"""The gate keeps what is neither its intended class nor near any ID image, and says where it keeps nothing."""

import pytest
import torch

from synthood.errors import SynthoodError
from synthood.outliers.gate import Verdict, gate, shares
from synthood.outliers.settings import GateSettings

SETTINGS = GateSettings(classifier="ce", wanted_per_class=2, k=1, percentile=90.0)
DIRECTIONS = torch.eye(4)


def test_each_reason_by_hand() -> None:
    train = DIRECTIONS[:2].repeat(5, 1)
    validation = train + 0.01 * torch.randn(10, 4, generator=torch.Generator().manual_seed(0))
    sure, unsure = torch.tensor([9.0, 0.0]), torch.tensor([0.0, 1.0])
    cases = [
        (unsure, DIRECTIONS[2], True),  # far from ID, and not its class
        (sure, DIRECTIONS[2], False),  # still its class
        (unsure, DIRECTIONS[1], False),  # another ID class
        (unsure, 7 * DIRECTIONS[3], True),  # far whatever its length
    ]
    logits, features = (torch.stack([case[i] for case in cases]) for i in (0, 1))
    labels = torch.zeros(4, dtype=torch.int64)
    verdict = gate(logits, features, labels, train, validation, SETTINGS)
    assert verdict.accepted.tolist() == [case[2] for case in cases]
    assert verdict.kept.tolist() == [0, 3]
    torch.testing.assert_close(verdict.posterior, logits.softmax(1)[:, 0])
    torch.testing.assert_close(verdict.distance, torch.tensor([2**0.5, 2**0.5, 0.0, 2**0.5]), atol=1e-3, rtol=0)


def test_only_the_wanted_number_of_a_class_is_kept() -> None:
    labels = torch.tensor([0, 1, 0, 1, 0, 1])
    logits = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).repeat(3, 1)
    verdict = gate(logits, DIRECTIONS[2].expand(6, 4), labels, DIRECTIONS[:2], DIRECTIONS[:2], SETTINGS)
    assert verdict.kept.tolist() == [0, 2, 1, 3]


def test_a_class_without_any_is_named_with_all_shares() -> None:
    accepted = torch.tensor([True, False, False, False])
    nothing = torch.zeros(4)
    verdict = Verdict(nothing, nothing, nothing, accepted, torch.tensor([0]))
    with pytest.raises(SynthoodError, match=r"no outlier of class dog \(accepted: cat 50\.0%, dog 0\.0%\)"):
        shares(verdict, torch.tensor([0, 0, 1, 1]), ["cat", "dog"])
    assert shares(verdict, torch.tensor([0, 1, 1, 1]), ["cat"]) == {"cat": 1.0}
