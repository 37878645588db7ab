"""Scores of logits by hand, by brute force, and what shifts and scales of the logits do."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import rel_entr
from scipy.stats import gumbel_l
from torch import Tensor

from synthood.evaluation.detectors import logits
from synthood.evaluation.detectors.logits import Klm, OpenMax, Temperature
from synthood.evaluation.detectors.rectifiers import LOGIT_DETECTORS
from synthood.evaluation.features import Features, Reference
from toy_features import with_logits

FEW = settings(max_examples=20, deadline=None)
LOGITS = st.lists(st.floats(-5, 5, width=32), min_size=2, max_size=6)


def of(classes: int) -> Reference:
    """A reference that a closed form does not look at, but for the number of classes."""
    nothing = with_logits(torch.zeros(1, classes))
    return Reference(nothing, nothing, torch.zeros(classes, 2), torch.zeros(classes))


def score(method: str, values: Tensor, **hyperparameters: float) -> list[float]:
    return LOGIT_DETECTORS[method](**hyperparameters).fit(of(values.shape[1]))(with_logits(values)).tolist()


def log(*values: float) -> Tensor:
    return torch.tensor(values).log()[None]


def test_closed_forms_by_hand() -> None:
    """Probabilities 1/4 and 3/4."""
    values = log(1.0, 3.0)
    assert score("msp", values) == pytest.approx([math.log(3)])
    assert score("mls", values) == pytest.approx([math.log(3)])
    assert score("energy", 2 * values, temperature=2.0) == pytest.approx([2 * math.log(4)])
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert score("entropy", values) == pytest.approx([-math.log(entropy)])
    assert score("gen", values, gamma=0.5) == pytest.approx([-math.log(math.sqrt(3 / 16)) / 0.5])
    assert score("gen", log(1.0, 2.0, 5.0), gamma=1.0, top=1) == pytest.approx([-math.log(5 / 8 * 3 / 8)])


@pytest.mark.parametrize("margin", [0.0, 1.0, 18.0, 40.0, 80.0, 120.0])
def test_sure_predictions_by_hand(margin: float) -> None:
    """One class ahead of two that are equal, o = 2 e^-margin the odds of both: single precision has no such p, or o."""
    values, o = torch.tensor([[0.0, margin, 0.0], [0.0, margin + 1, 0.0]]), 2 * math.exp(-margin)
    assert score("msp", values) == pytest.approx([margin - math.log(2), margin + 1 - math.log(2)], rel=1e-6, abs=1e-6)
    entropy = math.log1p(o) + o / (1 + o) * margin
    assert score("entropy", values)[0] == pytest.approx(-math.log(entropy), rel=1e-6, abs=1e-6)
    for gamma in (0.1, 1.0, 10.0):
        # log p (1 - p) of the one and of the others, whose power mean it is
        ahead = math.log(o) - 2 * math.log1p(o)
        others = -margin + math.log1p(o / 2) - 2 * math.log1p(o)
        mean = (math.exp(gamma * (ahead - others)) + 2) / 3
        expected = -others - math.log(mean) / gamma
        assert score("gen", values, gamma=gamma)[0] == pytest.approx(expected, rel=1e-5, abs=1e-5)


@FEW
@given(LOGITS)
def test_the_order_is_that_of_the_published_scores(values: list[float]) -> None:
    """Where double precision holds those."""
    logits = torch.tensor([values])
    p = logits.double().softmax(1)[0]
    published = {
        "msp": lambda s: 1 / (1 + math.exp(-s)) - float(p.max()),
        "entropy": lambda s: math.exp(-s) + float((p * p.log()).sum()),
        "gen": lambda s: len(p) * math.exp(-0.1 * s) - float((p * (1 - p)).pow(0.1).sum()),
    }
    for method, difference in published.items():
        assert difference(score(method, logits)[0]) == pytest.approx(0, abs=1e-5)


@FEW
@given(LOGITS, st.floats(-5, 5, width=32))
def test_shifted_logits_shift_energy_and_mls_and_leave_the_softmax(values: list[float], shift: float) -> None:
    before = torch.tensor([values])
    after = before + shift
    for method in ("energy", "mls"):
        assert score(method, after) == pytest.approx([score(method, before)[0] + shift], abs=1e-4)
    for method in ("msp", "entropy"):
        assert score(method, after) == pytest.approx(score(method, before), abs=1e-5)
    assert score("gen", after, gamma=1.0) == pytest.approx(score("gen", before, gamma=1.0), abs=1e-5)


@FEW
@given(LOGITS, st.floats(0.5, 3, width=32), st.randoms())
def test_scaled_logits_scale_energy_at_scaled_temperature_and_classes_have_no_order(
    values: list[float], factor: float, random: object
) -> None:
    before, mixed = torch.tensor([values]), torch.tensor([random.sample(values, len(values))])
    scaled = score("energy", before * factor, temperature=factor)[0]
    assert scaled == pytest.approx(factor * score("energy", before)[0], rel=1e-4, abs=1e-4)
    for method in ("msp", "mls", "energy", "entropy", "gen"):
        assert score(method, mixed) == pytest.approx(score(method, before), abs=1e-5)


def test_gen_counts_the_largest_alone_and_all_by_default() -> None:
    values = torch.randn(20, 7, generator=torch.Generator().manual_seed(0))
    assert score("gen", values) == score("gen", values, top=7)
    p = values.double().softmax(1).sort(1, descending=True).values[:, :3]
    expected = -(p * (1 - p)).pow(0.3).mean(1).log() / 0.3
    assert score("gen", values, gamma=0.3, top=3) == pytest.approx(expected.tolist(), rel=1e-5)


def test_klm_by_brute_force(reference: Reference, near: Features) -> None:
    p, predicted = reference.val.logits.double().softmax(1), reference.val.logits.argmax(1)
    means = [p[predicted == k].mean(0).numpy() for k in predicted.unique()]
    x = near.logits.double().softmax(1).numpy()
    expected = [-min(rel_entr(row, mean).sum() for mean in means) for row in x]
    assert Klm().fit(reference)(near).tolist() == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_klm_with_classes_that_are_never_predicted_and_probabilities_that_vanish() -> None:
    """Logits so far apart that every other probability is zero in double precision."""
    val = with_logits(torch.tensor([[2000.0, 0.0, -2000.0], [0.0, 2000.0, -2000.0]]))
    found = Klm().fit(Reference(val, val, torch.zeros(3, 2), torch.zeros(3)))(val)
    assert found.tolist() == [0.0, 0.0]


def test_temperature_of_a_validation_set_without_errors_is_the_bound() -> None:
    val = Features(torch.eye(3), torch.zeros(3, 2), torch.arange(3))
    found = Temperature().fit(Reference(val, val, torch.zeros(3, 2), torch.zeros(3)))(val)
    torch.testing.assert_close(found.sigmoid(), (torch.eye(3) / 0.25).softmax(1).amax(1))


def test_temperature_keeps_the_order_of_sure_predictions() -> None:
    """At T = 1/4 both probabilities are one in single precision."""
    val = Features(torch.eye(3), torch.zeros(3, 2), torch.arange(3))
    method = Temperature().fit(Reference(val, val, torch.zeros(3, 2), torch.zeros(3)))
    assert method(with_logits(torch.tensor([[10.0, 0.0, 0.0], [11.0, 0.0, 0.0]]))).diff().item() == pytest.approx(4.0)


def test_temperature_of_overconfident_logits_is_their_scale() -> None:
    """Labels drawn from the softmax of l: logits 3 l are calibrated at T = 3."""
    random = torch.Generator().manual_seed(0)
    true = 2 * torch.randn(20000, 5, generator=random)
    labels = torch.multinomial(true.softmax(1), 1, generator=random)[:, 0]
    val = Features(3 * true, torch.zeros(20000, 2), labels)
    found = Temperature().fit(Reference(val, val, torch.zeros(5, 2), torch.zeros(5)))(val)
    torch.testing.assert_close(found.sigmoid(), true.softmax(1).amax(1), rtol=0, atol=0.02)


def test_gumbel_is_scipys_fit() -> None:
    values = torch.from_numpy(gumbel_l.rvs(3.0, 0.7, size=400, random_state=0)).sort().values
    assert logits.gumbel(values) == pytest.approx(gumbel_l.fit(values.numpy()), rel=1e-4)


def test_gumbel_of_equal_values_is_a_step() -> None:
    place, spread = logits.gumbel(torch.full((5,), 2.0, dtype=torch.float64))
    assert place == pytest.approx(2.0, abs=1e-4)
    assert 0 < spread < 1e-5


def test_openmax_far_from_all_classes_is_unknown(reference: Reference) -> None:
    """At a class's mean its logit stays, and unknown has the share of a zero logit; far away it has all of them."""
    means = torch.stack([reference.train.logits[reference.train.labels == k].mean(0) for k in range(4)])
    near_means = OpenMax(alpha=1, tail=20).fit(reference)(with_logits(means))
    far_away = OpenMax(alpha=4, tail=20).fit(reference)(with_logits(means + 20))
    torch.testing.assert_close(near_means, means.logsumexp(1), rtol=0.1, atol=1e-3)
    assert (far_away < -5).all()
