"""Rectifiers by their definitions, sample by sample, and with every score of logits."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from synthood.evaluation.detectors import rectifiers
from synthood.evaluation.detectors.base import Detector, at_percentile
from synthood.evaluation.detectors.rectifiers import LOGIT_DETECTORS, Ash, Dice, Lts, React, Scale
from synthood.evaluation.features import Features, Reference
from synthood.plugins import plugins, plugins_of
from toy_features import WIDTH, with_features


def energy(h: torch.Tensor, reference: Reference) -> torch.Tensor:
    return F.linear(h, reference.weight, reference.bias).logsumexp(1)


@pytest.mark.parametrize("percentile", [1.5, 37.3, 90.0, 100.0])
def test_react_bound_is_the_percentile(percentile: float, reference: Reference, near: Features) -> None:
    bound = torch.quantile(reference.val.features.double(), percentile / 100).float()
    torch.testing.assert_close(
        React(percentile=percentile).fit(reference)(near), energy(near.features.clamp(max=bound), reference)
    )


@pytest.mark.parametrize("percent", [0.0, 12.5, 50.0, 99.9, 100.0])
def test_percentile_is_torchs_quantile(percent: float) -> None:
    values = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(at_percentile(values, percent), torch.quantile(values, percent / 100))


@pytest.mark.parametrize("variant", ["b", "p", "s"])
def test_ash_by_its_definition(variant: str, reference: Reference, near: Features) -> None:
    """Three quarters of twelve features pruned, sample by sample."""
    expected = []
    for h in near.features:
        kept = h.sort(descending=True).indices[:3]
        shaped = torch.zeros(WIDTH)
        shaped[kept] = {"b": h.sum() / 3, "p": h[kept], "s": h[kept] * torch.exp(h.sum() / h[kept].sum())}[variant]
        expected.append(energy(shaped[None], reference)[0])
    found = Ash(variant=variant, percentile=75.0).fit(reference)(near)
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-5, atol=1e-5)


def test_scale_and_lts_by_their_definitions(reference: Reference, near: Features) -> None:
    largest = near.features.sort(1, descending=True).values[:, :3].sum(1, keepdim=True)
    ratio = near.features.sum(1, keepdim=True) / largest
    torch.testing.assert_close(
        Scale(percentile=75.0).fit(reference)(near),
        energy(near.features * ratio.exp(), reference),
        rtol=1e-5,
        atol=1e-5,
    )
    torch.testing.assert_close(
        Lts(share=0.25).fit(reference)(near), (near.logits * ratio**2).logsumexp(1), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.0])
def test_negative_features_are_scored_by_openoods_formulas(shift: float, reference: Reference, near: Features) -> None:
    """ASH and SCALE of features that are below zero in part, as a transformer's are, to rounding."""
    h = near.features - shift
    count = WIDTH - int(np.round(WIDTH * 65 / 100.0))
    top = torch.topk(h, count)
    pruned = torch.zeros_like(h).scatter_(1, top.indices, top.values)
    whole, part = h.sum(1, keepdim=True), pruned.sum(1, keepdim=True)
    held = (whole / part)[:, 0] < 80  # beyond, its scores are not finite
    assert held.double().mean() > 0.99
    expected = {
        "b": torch.zeros_like(h).scatter_(1, top.indices, (whole / count).expand_as(top.values)),
        "p": pruned,
        "s": pruned * torch.exp(whole / part),
    }
    x = Features(near.logits, h, near.labels)
    for variant, changed in expected.items():
        found = Ash(variant=variant, percentile=65.0).fit(reference)(x)
        torch.testing.assert_close(found[held], energy(changed, reference)[held], rtol=1e-6, atol=1e-6)
    scaled = energy(h * torch.exp(whole / part), reference)
    found = Scale(percentile=65.0).fit(reference)(x)
    torch.testing.assert_close(found[held], scaled[held], rtol=1e-6, atol=1e-6)


def test_scale_is_finite_where_the_largest_all_but_cancel(reference: Reference) -> None:
    """A ratio of a million, whose exp float32 cannot hold, and one whose denominator is zero."""
    h = torch.full((2, WIDTH), -100.0)
    h[0, :4] = torch.tensor([1.0, 1.0, -1.0, -1.001])
    h[1, :4] = torch.tensor([1.0, 1.0, -1.0, -1.0])
    for detector in (Scale(percentile=65.0), Ash(variant="s", percentile=65.0)):
        assert detector.fit(reference)(with_features(h, reference)).isfinite().all()


def test_scale_of_a_sample_without_activations_is_the_biass_energy(reference: Reference) -> None:
    silent = with_features(torch.zeros(1, WIDTH), reference)
    for detector in (Scale(), Ash(), Lts()):
        assert detector.fit(reference)(silent).item() == pytest.approx(reference.bias.logsumexp(0).item())


def test_pruning_nothing_leaves_the_energy(reference: Reference, near: Features) -> None:
    torch.testing.assert_close(Ash(variant="p", percentile=0.0).fit(reference)(near), near.logits.logsumexp(1))
    torch.testing.assert_close(
        React(percentile=100.0).fit(reference)(near),
        energy(near.features.clamp(max=reference.val.features.max()), reference),
    )


def test_pruning_almost_all_keeps_one_feature(reference: Reference, near: Features) -> None:
    largest = near.features.max(1)
    alone = torch.zeros_like(near.features).scatter_(1, largest.indices[:, None], largest.values[:, None])
    torch.testing.assert_close(Ash(variant="p", percentile=99.0).fit(reference)(near), energy(alone, reference))


def test_dice_keeps_the_weights_of_large_contributions(reference: Reference, near: Features) -> None:
    contribution = (reference.weight * reference.train.features.mean(0)).flatten()
    keep = contribution.sort(descending=True).indices[: round(0.25 * len(contribution))]
    sparse = torch.zeros(len(contribution)).index_put_((keep,), reference.weight.flatten()[keep])
    logits = F.linear(near.features, sparse.view_as(reference.weight), reference.bias)
    torch.testing.assert_close(Dice(percentile=75.0).fit(reference)(near), logits.logsumexp(1))


@pytest.mark.parametrize("score", LOGIT_DETECTORS)
def test_every_score_of_logits_goes_with_a_rectifier(score: str, reference: Reference, near: Features) -> None:
    """As if the rectified logits had been the model's all along, on reference data too."""
    bound = at_percentile(reference.val.features, 80.0)

    def clipped(x: Features) -> Features:
        return Features(F.linear(x.features.clamp(max=bound), reference.weight, reference.bias), x.features, x.labels)

    other = Reference(clipped(reference.train), clipped(reference.val), reference.weight, reference.bias)
    expected = LOGIT_DETECTORS[score]().fit(other)(clipped(near))
    torch.testing.assert_close(React(percentile=80.0, score=score).fit(reference)(near), expected, rtol=1e-5, atol=1e-5)


def test_every_detector_of_logits_alone_is_such_a_score() -> None:
    every = plugins(Detector, "synthood.evaluation.detectors")
    assert {kind for kind, one in every.items() if one.inputs == ("logits",)} == set(LOGIT_DETECTORS)


@pytest.mark.parametrize("score", LOGIT_DETECTORS)
@pytest.mark.parametrize("method", ["vra", "ash", "scale", "lts", "dice"])
def test_every_rectifier_goes_with_every_score_of_logits(
    method: str, score: str, reference: Reference, near: Features
) -> None:
    """A finite confidence per sample, and not the one of the logits as they are."""
    found = plugins_of(Detector, rectifiers)[method](score=score).fit(reference)(near)
    plain = LOGIT_DETECTORS[score]().fit(reference)(near)
    assert found.shape == plain.shape
    assert found.isfinite().all()
    assert not torch.allclose(found, plain)
