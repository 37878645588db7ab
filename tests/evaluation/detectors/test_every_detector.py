"""What holds for every detector: sign, order, batches, types, which data it is fitted on, and broken features."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from torch import Tensor

from synthood.errors import SynthoodError
from synthood.evaluation import scoring
from synthood.evaluation.detectors.base import Detector
from synthood.evaluation.detectors.distances import Gmm
from synthood.evaluation.detectors.heads import She
from synthood.evaluation.detectors.logits import Gen, OpenMax
from synthood.evaluation.detectors.neighbours import Cfood, Knn, NnGuide
from synthood.evaluation.detectors.rectifiers import Vra
from synthood.evaluation.detectors.subspaces import Residual, Vim
from synthood.evaluation.features import Bank, Features, Reference
from synthood.evaluation.hyperparameters import OutOfRangeError
from synthood.evaluation.ties import tied_share
from synthood.evaluation.unchanged import Unchanged
from toy_features import CLASSES, EVERY, OF_FEATURES, READING, SMALL, WIDTH, chosen, name_of, with_features

every = pytest.mark.parametrize("detector", EVERY, ids=name_of)
FEW = settings(max_examples=4, deadline=None)


def test_every_detector_of_features_is_tested_here() -> None:
    assert {*SMALL} <= {*OF_FEATURES} == {detector.kind for detector in [*EVERY, *READING]}
    assert {detector.access for detector in [*EVERY, *READING]} == {"features"}


@pytest.mark.parametrize("kind", [kind for kind, one in OF_FEATURES.items() if one.grid])
def test_grids_of_others_are_valid_settings(kind: str) -> None:
    grid = OF_FEATURES[kind].grid
    found = OF_FEATURES[kind].model_validate({"kind": kind, **grid}).candidates()
    assert len(found) == math.prod(map(len, grid.values())) > 1


def tight(count: int, seed: int) -> Tensor:
    """Features close to four times a unit vector per class."""
    noise = torch.randn((count, WIDTH), generator=torch.Generator().manual_seed(seed))
    return (4 * torch.eye(CLASSES, WIDTH)[torch.arange(count) % CLASSES] + 0.5 + 0.2 * noise).relu()


@every
def test_id_scores_above_ood_on_a_separable_toy(detector: Detector) -> None:
    """OOD fires the units that no class fires; OpenMax also suspects the ID samples in a class's tail."""
    weight, bias = torch.eye(CLASSES, WIDTH), torch.zeros(CLASSES)
    train, val, inside = (
        Features(h @ weight.T, h, torch.arange(len(h)) % CLASSES) for h in (tight(400, 1), tight(150, 2), tight(40, 5))
    )
    toy = Reference(train, val, weight, bias)
    outside = with_features(0.01 + 2.0 * (torch.arange(WIDTH) >= CLASSES).float().repeat(40, 1), toy)
    score = detector.fit(toy)
    area = roc_auc_score([1] * 40 + [0] * 40, torch.cat([score(inside), score(outside)]))
    assert area > (0.85 if isinstance(detector, OpenMax) else 0.99)


@every
@FEW
@given(seed=st.integers(0, 999), count=st.integers(1, 9))
def test_each_sample_is_scored_by_itself(
    detector: Detector, reference: Reference, near: Features, seed: int, count: int
) -> None:
    """In any order and any batch."""
    score = detector.fit(reference)
    order = torch.randperm(len(near), generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(score(chosen(near, order)), score(near)[order], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(score(chosen(near, order[:count])), score(near)[order[:count]], rtol=1e-5, atol=1e-5)


@every
def test_order_of_the_reference_is_irrelevant(detector: Detector, reference: Reference, near: Features) -> None:
    mixed = [
        chosen(x, torch.randperm(len(x), generator=torch.Generator().manual_seed(1)))
        for x in (reference.train, reference.val)
    ]
    other = Reference(*mixed, reference.weight, reference.bias)
    ours, theirs = (detector.fit(one)(near) for one in (reference, other))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@every
def test_fitted_on_the_named_parts_alone(detector: Detector, reference: Reference, near: Features) -> None:
    """Parts that the class does not name may hold anything."""
    named = detector.fitted_on
    broken = Features(torch.full((3, 2), -7.0), torch.full((3, 5), -7.0), torch.full((3,), -7))
    train, val = (getattr(reference, name) if name in named else broken for name in ("train", "val"))
    other = Reference(train, val, reference.weight, reference.bias)
    assert torch.equal(detector.fit(other)(near), detector.fit(reference)(near))


@every
def test_looks_at_the_named_inputs_alone(detector: Detector, reference: Reference, near: Features) -> None:
    """Labels never matter; logits or features do where the class names them, and nowhere else."""
    inputs, score = detector.inputs, detector.fit(reference)
    random = torch.Generator().manual_seed(3)
    other = Features(
        near.logits if "logits" in inputs else torch.randn(near.logits.shape, generator=random),
        near.features if "features" in inputs else torch.rand(near.features.shape, generator=random),
        near.labels - 7,
    )
    assert torch.equal(score(other), score(near))
    for name in ("logits", "features"):
        if name in inputs:
            moved = Features(**{**vars(near), name: torch.rand(getattr(near, name).shape, generator=random)})
            assert not torch.equal(score(moved), score(near))


@every
def test_nothing_it_reads_is_changed(detector: Detector, reference: Reference, near: Features) -> None:
    seen = Unchanged(near.tensors("x"))
    before = reference.unchanged
    scoring.together({"it": detector.fit(reference)}, near)
    seen.check("it")
    before.check("it")


@every
def test_result_is_one_float32_per_sample(detector: Detector, reference: Reference, near: Features) -> None:
    confidence = detector.fit(reference)(near)
    assert (confidence.dtype, confidence.shape) == (torch.float32, (len(near),))


def everywhere(change: Callable[[Tensor], Tensor], reference: Reference, near: Features) -> tuple[Reference, Features]:
    """All features changed alike, with the head's logits of them."""
    train, val, test = (
        Features(F.linear(change(x.features), reference.weight, reference.bias), change(x.features), x.labels)
        for x in (reference.train, reference.val, near)
    )
    return Reference(train, val, reference.weight, reference.bias), test


def dead(features: Tensor) -> Tensor:
    """A unit that is dead, one that repeats another, and a constant one."""
    features = features.clone()
    features[:, 3], features[:, 5], features[:, 8] = 0.0, features[:, 4], 1.5
    return features


@every
def test_dead_repeated_and_constant_units(detector: Detector, reference: Reference, near: Features) -> None:
    broken, test = everywhere(dead, reference, near)
    confidence = detector.fit(broken)(test)
    assert confidence.isfinite().all()
    assert roc_auc_score([1] * 200 + [0] * 200, confidence) > 0.5


@every
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_features_that_are_all_equal_give_equal_scores(
    detector: Detector, value: float, reference: Reference, near: Features
) -> None:
    broken, test = everywhere(lambda x: torch.full_like(x, value), reference, near)
    confidence = detector.fit(broken)(test)
    assert confidence.isfinite().all()
    torch.testing.assert_close(confidence, confidence[:1].expand(400), rtol=1e-5, atol=1e-5)


@every
def test_two_classes_one_of_which_has_a_single_sample(detector: Detector, reference: Reference) -> None:
    weight, bias = reference.weight[:2], reference.bias[:2]
    first = (reference.train.labels == 0).nonzero()[:, 0]
    second = (reference.train.labels == 1).nonzero()[:1, 0]
    train = chosen(reference.train, torch.cat([first, second]))
    small = Features(train.logits[:, :2], train.features, train.labels)
    values = {key: 2 for key in ("top", "alpha") if isinstance(detector, Gen | OpenMax) and hasattr(detector, key)}
    two = detector.model_copy(update=values)
    confidence = two.fit(Reference(small, small, weight, bias))(small)
    assert confidence.isfinite().all()
    assert len(confidence) == 101


@every
def test_samples_of_zeros_and_of_huge_features(detector: Detector, reference: Reference) -> None:
    """A sample that no unit fires for, and one a thousand times as strong as any other."""
    extreme = with_features(torch.cat([torch.zeros(1, WIDTH), 3000 * torch.ones(1, WIDTH)]), reference)
    assert detector.fit(reference)(extreme).isfinite().all()


NEEDS_LARGE: list[tuple[Detector, str]] = [
    (Gen(top=5), "top 5 is larger than the number of classes 4"),
    (OpenMax(alpha=5), "alpha 5 is larger than the number of classes 4"),
    (Gmm(dimension=13), "dimension 13 is larger than the features' 12"),
    (Knn(k=401), "k 401 is larger than the bank's number of training features 400"),
    (NnGuide(k=41, share=0.1), "k 41 is larger than the bank's number of training features 40"),
    (Cfood(share=0.001), "the bank of 1"),
    (Residual(dimension=12), "dimension 12 must be below the features' 12"),
    (Vim(dimension=13), "dimension 13 must be below the features' 12"),
    (Vra(low=90.0, high=90.0), "low 90 is not below high 90"),
]


@pytest.mark.parametrize(("detector", "message"), NEEDS_LARGE, ids=lambda one: getattr(one, "kind", ""))
def test_a_value_that_the_data_cannot_have_is_an_error(detector: Detector, message: str, reference: Reference) -> None:
    with pytest.raises(OutOfRangeError, match=message):
        detector.fit(reference)


TIES = ("klm", "nac", "cfood", "mc-dropout")
"""Of few scores by definition: sure samples come to one divergence per class; shares of a bank or of passes count."""


@pytest.mark.parametrize("detector", [one for one in EVERY if one.kind not in TIES], ids=name_of)
@pytest.mark.parametrize("change", ["sure", "surest", "offset", "negative"])
def test_samples_that_differ_do_not_tie(detector: Detector, change: str, reference: Reference, near: Features) -> None:
    """Where logits are up to 20 or 60 times as large, features have much in common, or are below zero in part."""
    times, shift = {"sure": (20, 0), "surest": (60, 0), "offset": (1, 500), "negative": (1, -0.5)}[change]
    weight, bias = times * reference.weight, times * (reference.bias - shift * reference.weight.sum(1))
    train, val, test = (
        Features(times * x.logits, x.features + shift, x.labels) for x in (reference.train, reference.val, near)
    )
    confidence = detector.fit(Reference(train, val, weight, bias))(test)
    assert confidence.isfinite().all()
    assert tied_share(confidence[:200].numpy()) < 0.01


@pytest.mark.parametrize("kind", [She, OpenMax], ids=lambda kind: kind.__name__)
def test_a_class_without_training_samples_is_named(kind: type[Detector], reference: Reference) -> None:
    kept = chosen(reference.train, (reference.train.labels != 1).nonzero()[:, 0])
    other = Reference(kept, reference.val, reference.weight, reference.bias)
    with pytest.raises(SynthoodError, match="class 1 has no training sample"):
        next(d for d in EVERY if type(d) is kind).fit(other)


def test_a_grid_is_no_detector_yet(reference: Reference) -> None:
    with pytest.raises(SynthoodError, match="a grid needs validation data"):
        Knn.parse('{"kind":"knn","k":[3,5]}').fit(reference)


def test_together_is_each_alone(reference: Reference, near: Features, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the bit, in rows and pieces of odd sizes; and to rounding what it is in one piece."""
    scores = {name_of(detector): detector.fit(reference) for detector in EVERY}
    whole = {name: score(near) for name, score in scores.items()}
    monkeypatch.setattr(scoring, "CHUNK", 53 * 37)
    monkeypatch.setattr(scoring, "PIECE", 0)
    monkeypatch.setattr(scoring, "LEAST", 61)
    other = replace(reference)
    vars(other)["bank"] = Bank(reference.train.features, rows=53)
    scores = {name_of(detector): detector.fit(other) for detector in EVERY}
    scores["half"] = NnGuide(k=5, share=0.5).fit(other)
    found = scoring.together(scores, near)
    assert list(found) == list(scores)
    for name, score in scores.items():
        assert torch.equal(found[name], scoring.together({name: score}, near)[name]), name
        if name in whole:
            torch.testing.assert_close(found[name], whole[name], rtol=1e-5, atol=1e-5, msg=name)
