"""OSCR, CCR at a FPR and AUPR at a prevalence against their definitions, with ties and weights."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from synthood.evaluation.metrics.areas import AuprIn, AuprOut, Oscr
from synthood.evaluation.metrics.base import OODMetric
from synthood.evaluation.metrics.rates import CcrAtFpr
from synthood.evaluation.ranking import Ranking
from synthood.reporting.settings import TableSettings

IDS = st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.integers(0, 3)), min_size=1, max_size=12)
OODS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=12)
Sample = list[tuple[int, bool, int]]


def value(metric: OODMetric, ids: Sample, oods: list[tuple[int, int]]) -> float:
    """By weights."""
    own, right, weights = (np.array(column) for column in zip(*ids, strict=True))
    other, theirs = (np.array(column) for column in zip(*oods, strict=True))
    ranking = Ranking(own.astype(float), other.astype(float), right)
    return float(ranking.metrics((weights[None], theirs[None]), [metric])[metric.key][0])


def repeated(ids: Sample, oods: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Confidences of ID samples, whether each is right, and confidences of OOD samples, as often as they weigh."""
    own, right, weights = (np.array(column) for column in zip(*ids, strict=True))
    other, theirs = (np.array(column) for column in zip(*oods, strict=True))
    return np.repeat(own, weights), np.repeat(right, weights), np.repeat(other, theirs)


def empty(*arrays: np.ndarray) -> bool:
    return any(len(array) == 0 for array in arrays)


def curve(own: np.ndarray, right: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """CCR and FPR from the highest threshold down, from nothing accepted."""
    levels = [np.inf, *np.unique(np.concatenate([own, other]))[::-1]]
    ccr = [np.mean(right & (own >= level)) for level in levels]
    return np.array(ccr), np.array([np.mean(other >= level) for level in levels])


@settings(max_examples=100, deadline=None)
@given(IDS, OODS)
def test_oscr_is_the_area_under_its_curve(ids: Sample, oods: list[tuple[int, int]]) -> None:
    own, right, other = repeated(ids, oods)
    if not empty(own, other):
        ccr, fpr = curve(own, right, other)
        assert value(Oscr(), ids, oods) == pytest.approx(np.trapezoid(ccr, fpr))


@settings(max_examples=100, deadline=None)
@given(IDS, OODS, st.sampled_from([0.0, 0.1, 0.25, 0.5]))
def test_ccr_is_the_most_that_the_fpr_allows(ids: Sample, oods: list[tuple[int, int]], most: float) -> None:
    own, right, other = repeated(ids, oods)
    if not empty(own, other):
        ccr, fpr = curve(own, right, other)
        assert value(CcrAtFpr(fpr=most), ids, oods) == pytest.approx(ccr[fpr <= most + 1e-12].max())


@settings(max_examples=100, deadline=None)
@given(IDS, OODS, st.sampled_from([0.01, 0.1, 0.5]))
def test_a_prevalence_is_a_weight_of_the_negatives(ids: Sample, oods: list[tuple[int, int]], share: float) -> None:
    own, _, other = repeated(ids, oods)
    if empty(own, other):
        return
    scores = np.concatenate([own, other]).astype(float)
    inside = np.arange(len(scores)) < len(own)
    for metric, positive, sign in ((AuprIn(prevalence=share), inside, 1), (AuprOut(prevalence=share), ~inside, -1)):
        weights = np.where(positive, share / positive.sum(), (1 - share) / (~positive).sum())
        expected = average_precision_score(positive, sign * scores, sample_weight=weights)
        assert value(metric, ids, oods) == pytest.approx(expected)


@settings(max_examples=50, deadline=None)
@given(IDS, OODS)
def test_the_images_own_prevalence_changes_nothing(ids: Sample, oods: list[tuple[int, int]]) -> None:
    own, _, other = repeated(ids, oods)
    if not empty(own, other):
        share = len(own) / (len(own) + len(other))
        assert value(AuprIn(prevalence=share), ids, oods) == pytest.approx(value(AuprIn(), ids, oods))
        assert value(AuprOut(prevalence=1 - share), ids, oods) == pytest.approx(value(AuprOut(), ids, oods))


def test_it_says_that_it_needs_the_predictions() -> None:
    for metric in (Oscr(), CcrAtFpr()):
        with pytest.raises(ValueError, match="classified correctly"):
            Ranking(np.array([1.0]), np.array([0.0])).metrics(metrics=[metric])


def test_keys_of_a_column() -> None:
    columns: list[object] = ["oscr", "ccr_at_fpr", {"kind": "ccr_at_fpr", "fpr": 0.01}]
    columns += [{"kind": "aupr_out", "prevalence": 0.05}]
    given = {"title": "t", "datasets": ["a"], "recipes": ["r"], "seeds": [0], "detectors": ["d"]}
    table = TableSettings.model_validate(given | {"columns": columns})
    assert [metric.key for metric in table.metrics] == ["oscr", "ccr_at_fpr", "ccr_at_fpr_0.01", "aupr_out_0.05"]
    assert [metric.title for metric in table.metrics] == [
        "OSCR",
        "CCR at 10 % FPR",
        "CCR at 1 % FPR",
        "AUPR-out at 5 % OOD",
    ]
    with pytest.raises(ValueError, match="'ccr_at_fpr' is given twice"):
        TableSettings.model_validate(given | {"columns": ["ccr_at_fpr", {"kind": "ccr_at_fpr", "fpr": 0.1}]})
    with pytest.raises(ValueError, match="fpr"):
        TableSettings.model_validate(given | {"columns": [{"kind": "ccr_at_fpr", "fpr": 1.0}]})
