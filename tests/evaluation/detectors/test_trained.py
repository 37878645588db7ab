"""Detectors of trained heads' outputs and of dropout: their formulas, by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from synthood import detectors as interface
from synthood.errors import SynthoodError
from synthood.evaluation.detectors.neighbours import Knn
from synthood.evaluation.detectors.trained import Cider, Godin, Mcd, McDropout, RotPred, Vos
from synthood.evaluation.features import Features, Reference
from synthood.evaluation.scoring import together
from toy_features import READING, chosen, name_of


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def with_outputs(x: Features, seed: int) -> Features:
    n = len(x)
    outputs = {
        "rotation": drawn(n, 4, seed=seed).abs(),
        "virtual_outliers": drawn(n, seed=seed + 1),
        "contrastive": F.normalize(drawn(n, 6, seed=seed + 2)),
        "godin": drawn(n, 2, seed=seed + 3),
        "discrepancy": drawn(n, x.logits.shape[1], seed=seed + 4),
    }
    return Features(x.logits, x.features, x.labels, outputs)


@pytest.fixture
def reading(reference: Reference) -> Reference:
    parts = [with_outputs(x, seed) for x, seed in ((reference.train, 10), (reference.val, 20))]
    return Reference(*parts, reference.weight, reference.bias)


@pytest.mark.parametrize("detector", READING, ids=name_of)
def test_each_sample_by_itself_and_in_rows_of_any_number(
    detector, reading: Reference, near: Features, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = with_outputs(near, 30)
    score = detector.fit(reading)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(1))
    mixed = Features(
        *(each[order] for each in (x.logits, x.features, x.labels)), {n: o[order] for n, o in x.outputs.items()}
    )
    torch.testing.assert_close(score(mixed), score(x)[order])
    monkeypatch.setattr("synthood.evaluation.scoring.PIECE", 0)
    monkeypatch.setattr("synthood.evaluation.scoring.LEAST", 7)
    torch.testing.assert_close(together({"it": score}, x)["it"], score(x))
    assert score(x).dtype == torch.float32


def test_rotpred_is_the_divergence_from_uniform_minus_the_mean_loss_of_the_turns(reading: Reference) -> None:
    p = torch.tensor([[0.7, 0.1, 0.1, 0.1], [0.25, 0.25, 0.25, 0.25]])
    losses = torch.tensor([[0.1, 0.2, 0.3, 0.4], [1.0, 2.0, 3.0, 4.0]])
    x = Features(p.log(), torch.zeros(2, 12), torch.zeros(2).long(), {"rotation": losses})
    divergence = sum(0.25 * math.log2(0.25 / q) for q in (0.7, 0.1, 0.1, 0.1))
    expected = [divergence - 0.25 / math.log(2), -2.5 / math.log(2)]
    assert RotPred().fit(reading)(x).tolist() == pytest.approx(expected, rel=1e-5)


def test_vos_is_its_head_s_output(reading: Reference, near: Features) -> None:
    x = with_outputs(near, 30)
    assert torch.equal(Vos().fit(reading)(x), x.outputs["virtual_outliers"])


def test_cider_is_knn_of_the_projections(reading: Reference, near: Features) -> None:
    x = with_outputs(near, 30)

    def projected(part: Features) -> Features:
        return Features(part.logits, part.outputs["contrastive"], part.labels)

    other = Reference(projected(reading.train), projected(reading.val), reading.weight, reading.bias)
    expected = Knn(k=7).fit(other)(projected(x))
    torch.testing.assert_close(Cider(k=7).fit(reading)(x), expected)
    distances = torch.cdist(x.outputs["contrastive"], reading.train.outputs["contrastive"]).sort(1).values[:, 6]
    torch.testing.assert_close(expected, -distances.square(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("detector", READING, ids=name_of)
def test_features_without_the_output_name_the_recipe_s_key(detector, reference: Reference, near: Features) -> None:
    with pytest.raises(SynthoodError, match=f"no output of a head `{detector.reads}`"):
        detector.fit(reference)(near)


def test_mc_dropout_approaches_the_expectation_over_all_masks(reference: Reference) -> None:
    """Two units live: four masks, each with its probability."""
    h = torch.zeros(1, 12)
    h[0, :2] = torch.tensor([2.0, 1.0])
    expected = torch.zeros(4)
    for first, second in ((0, 0), (0, 1), (1, 0), (1, 1)):
        chance = (0.7 if first else 0.3) * (0.7 if second else 0.3)
        kept = h * torch.tensor([[first, second, *[0] * 10]]) / 0.7
        expected += chance * F.linear(kept, reference.weight, reference.bias).softmax(1)[0]
    score = McDropout(probability=0.3, passes=4000).fit(reference)
    x = Features(torch.zeros(1, 4), h, torch.zeros(1).long())
    assert float(score(x).sigmoid()) == pytest.approx(float(expected.max()), abs=0.02)


def test_mc_dropout_needs_a_probability(reference: Reference) -> None:
    with pytest.raises(SynthoodError, match="probability is that of the recipe's dropout"):
        McDropout().fit(reference)


def test_from_python_with_outputs(reading: Reference, near: Features) -> None:
    def given(x: Features) -> tuple:
        return x.logits, x.features, x.labels, x.outputs

    x = with_outputs(near, 30)
    head = (reading.weight, reading.bias)
    detector = interface.fit("cider", given(reading.train), given(reading.val), head, k=3)
    found = interface.score(detector, x.logits, x.features, x.outputs)
    expected = Cider(k=3).fit(reading)(x)
    assert found == pytest.approx(expected.numpy(), abs=1e-6)
    with pytest.raises(SynthoodError, match="no output of a head `contrastive`"):
        interface.score(detector, x.logits, x.features)


def test_one_sample_is_chosen_alone(reading: Reference, near: Features) -> None:
    score = McDropout(probability=0.5).fit(reading)
    index = torch.tensor([5])
    torch.testing.assert_close(score(chosen(near, index)), score(near)[index])


def test_godin_is_one_of_what_its_head_gives(reading: Reference, near: Features) -> None:
    x = with_outputs(near, 30)
    largest, confidence = x.outputs["godin"].T
    assert torch.equal(Godin().fit(reading)(x), largest)
    assert torch.equal(Godin(score="g").fit(reading)(x), confidence)


def test_mcd_is_the_log_odds_of_two_posteriors_distance(reading: Reference) -> None:
    """Distances of 1 and 1.6, of at most 2."""
    first = torch.tensor([[0.7, 0.1, 0.1, 0.1], [0.9, 0.1, 0.0, 0.0]])
    second = torch.tensor([[0.2, 0.6, 0.1, 0.1], [0.1, 0.9, 0.0, 0.0]])
    x = Features(first.log(), torch.zeros(2, 12), torch.zeros(2).long(), {"discrepancy": second.log()})
    assert Mcd().fit(reading)(x).tolist() == pytest.approx([math.log((2 - d) / d) for d in (1.0, 1.6)], abs=1e-6)


@pytest.mark.parametrize("margin", [10.0, 20.0, 50.0, 100.0])
def test_mcd_of_sure_posteriors(margin: float, reading: Reference) -> None:
    """Of one class, at margins that differ by one: d = 6 e^-margin (1 - 1 / e); of two classes: 2 - 8 e^-margin."""
    sure = torch.tensor([[margin, 0.0, 0.0, 0.0]])
    logits = {"discrepancy": torch.cat([sure + torch.eye(4)[:1], sure.roll(1, 1)])}
    found = Mcd().fit(reading)(Features(sure.expand(2, 4), torch.zeros(2, 12), torch.zeros(2).long(), logits))
    agree = math.log(2) - math.log(6 * (1 - 1 / math.e)) + margin
    assert found.tolist() == pytest.approx([agree, math.log(4) - margin], rel=1e-3)
