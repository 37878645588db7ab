"""Odds of the likeliest class against double precision, where predictions are sure, tie, or are far apart."""

import pytest
import torch
from torch import Tensor

from synthood.evaluation.detectors.logits import Entropy, Gen
from synthood.evaluation.detectors.odds import Odds, log_odds
from toy_features import with_logits


def drawn(scale: float, classes: int) -> Tensor:
    return scale * torch.randn((300, classes), generator=torch.Generator().manual_seed(classes))


LOGITS = {
    **{f"{scale:g} x {classes}": drawn(scale, classes) for scale in (0.1, 1, 4, 20, 100) for classes in (2, 10, 300)},
    "tied": 4.0 * torch.randint(0, 3, (300, 6), generator=torch.Generator().manual_seed(0)),
    "all equal": torch.full((3, 5), 2.5),
    "far": torch.tensor([[3e4, 0.0, -3e4], [120.0, 0.0, 0.0], [500.0, 499.5, -500.0], [87.2, 0.0, -1e30]]),
}


def others(logits: Tensor) -> Tensor:
    """log((1 - p) / p) of one of the largest, by a sort, in double precision."""
    ordered = logits.double().sort(1, descending=True).values
    return ordered[:, 1:].logsumexp(1) - ordered[:, 0]


@pytest.mark.parametrize("name", LOGITS)
def test_log_odds_are_exact_at_any_margin(name: str) -> None:
    expected = -others(LOGITS[name])
    torch.testing.assert_close(log_odds(LOGITS[name]).double(), expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(-Odds.of(LOGITS[name]).rest[:, 0].double(), expected, rtol=1e-6, atol=1e-6)


def test_a_sample_s_odds_do_not_depend_on_a_sure_one_next_to_it() -> None:
    """Which is summed with a shift."""
    rows = LOGITS["4 x 10"]
    alone = log_odds(rows)
    with_sure = log_odds(torch.cat([rows, torch.tensor([[200.0] + 9 * [0.0]])]))
    assert torch.equal(with_sure[:-1], alone)
    assert with_sure[-1].item() == pytest.approx(200 - torch.tensor(9.0).log().item(), rel=1e-6)


@pytest.mark.parametrize("top", [None, 1, 2, 4])
@pytest.mark.parametrize("gamma", [0.1, 1.0, 10.0])
def test_gen_where_classes_tie(gamma: float, top: int | None) -> None:
    logits = LOGITS["tied"]
    p = logits.double().softmax(1).sort(1, descending=True).values[:, :top]
    expected = -(p * (1 - p)).pow(gamma).mean(1).log() / gamma
    found = Gen(gamma=gamma, top=top).confidence(with_logits(logits), {})
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["tied", "all equal", "0.1 x 2", "4 x 10", "1 x 300"])
def test_entropy_where_classes_tie(name: str) -> None:
    logs = LOGITS[name].double().log_softmax(1)
    expected = -(-(logs.exp() * logs).sum(1)).log()
    found = Entropy().confidence(with_logits(LOGITS[name]), {})
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=1e-6)
