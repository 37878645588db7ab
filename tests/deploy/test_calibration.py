"""The calibration part and what it gives: apart from all others, by groups of classes, by folds."""

import json

import numpy as np
import pytest

from synthood.common.images import pixel_sha256
from synthood.deploy import conformal
from synthood.deploy.calibration import Calibration, check_apart, class_groups
from synthood.errors import SynthoodError

CLASSES = ["a", "b", "c"]


def pixels(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 2, 2, 3), np.uint8)


def test_images_that_serve_something_else_are_refused() -> None:
    digests = pixel_sha256(pixels(10))
    check_apart(digests[:4], {"training": digests[4:], "test": digests[:0]})
    with pytest.raises(SynthoodError, match="2 of 4 images are also among the validation images"):
        check_apart(digests[:4], {"training": digests[4:], "validation": digests[2:6]})


def test_classes_with_enough_images_are_groups_of_their_own() -> None:
    enough = conformal.sufficient_count(0.1)
    counts = [enough, enough - 1, enough, 1]
    predictions = np.repeat(np.arange(4), counts)
    count = sum(counts)
    assert class_groups(predictions, 4, [0.1], count).tolist() == [1, 0, 2, 0]
    assert class_groups(predictions, 4, [0.1], count // 2).tolist() == [0, 0, 0, 0]
    assert class_groups(predictions, 4, [0.1, 0.01], count).tolist() == [0, 0, 0, 0]
    few = np.repeat(np.arange(3), [enough + 1, enough, enough // 2])
    assert class_groups(few, 3, [0.1], len(few)).tolist() == [1, 0, 0]  # the smaller one joins the rest


def test_groups_follow_other_images_and_never_those_that_calibrate() -> None:
    random = np.random.default_rng(0)
    confidences, others = random.random(400), np.repeat([0, 1, 2], [180, 180, 40])
    first = Calibration.of(confidences, random.integers(0, 2, 400), 3, [0.1], grouping=others)
    second = Calibration.of(confidences, np.zeros(400, int), 3, [0.1], grouping=others)
    assert first.groups.tolist() == second.groups.tolist() == [0, 1, 0]
    # A group that no calibration image is of rejects nothing, and has no threshold
    assert second.p_values([-1.0, -1.0], [1, 0]).tolist() == [1.0, 1 / 401]
    assert {name for name, _ in second.thresholds(CLASSES)} == {"other classes"}


def test_p_values_of_a_group_are_among_its_own_images() -> None:
    random = np.random.default_rng(0)
    predictions = random.integers(0, 3, 400)
    confidences = random.normal(predictions, 1.0)
    known = Calibration.of(confidences, predictions, 3, [0.1], grouping=np.arange(300) % 3)
    assert known.groups.tolist() == [1, 2, 3]
    new, classes = random.normal(0, 1, 50), random.integers(0, 3, 50)
    expected = [conformal.p_values(confidences[predictions == c], [x])[0] for x, c in zip(new, classes, strict=True)]
    assert known.p_values(new, classes).tolist() == expected
    pooled = Calibration.of(confidences, predictions, 3, [0.1])
    assert (pooled.p_values(new, classes) == conformal.p_values(confidences, new)).all()
    assert {name for name, _ in known.thresholds(CLASSES)} == {*CLASSES}
    for name, threshold in known.thresholds(CLASSES):
        own = classes == CLASSES.index(name)
        assert (threshold.rejects(new[own]) == (known.p_values(new, classes)[own] <= 0.1)).all()
    assert [name for name, _ in pooled.thresholds(CLASSES)] == ["all classes"]


def test_every_class_is_rejected_at_the_level_where_a_pooled_threshold_rejects_one_more() -> None:
    """Class 1 has lower confidences than class 0."""
    random, rates = np.random.default_rng(1), []
    for _ in range(300):
        predictions = random.integers(0, 2, 600)
        confidences = random.normal(-2.0 * predictions, 1.0)
        known = Calibration.of(confidences[:400], predictions[:400], 2, [0.1], grouping=np.arange(300) % 2)
        rejected = known.p_values(confidences[400:], predictions[400:]) <= 0.1
        rates.append([rejected[predictions[400:] == c].mean() for c in (0, 1)])
    assert (np.mean(rates, 0) <= 0.1).all()
    assert (np.mean(rates, 0) >= 0.09).all()


def test_levels_without_support_are_left_out_with_a_warning() -> None:
    known = Calibration.of(np.arange(29.0), np.zeros(29, int), 2, [0.1, 0.01, 0.05])
    assert known.levels == (0.05, 0.1)
    assert known.level() == 0.05
    warnings = known.warnings([0.01, 0.05, 0.1])
    assert warnings[0] == "reject_id 0.01: left out; 29 calibration images cannot support it, 99 are the fewest"
    assert [text.split(":")[0] for text in warnings] == ["reject_id 0.01", "reject_id 0.05", "reject_id 0.1"]
    with pytest.raises(SynthoodError, match=r"reject_id 0\.05: 5 calibration images cannot support it, 19 are"):
        Calibration.of(np.arange(5.0), np.zeros(5, int), 2, [0.05, 0.01])
    with pytest.raises(SynthoodError, match="reject_id 5: expected a share"):
        Calibration.of(np.arange(5.0), np.zeros(5, int), 2, [5])
    with pytest.raises(SynthoodError, match="5 confidences of 4 images"):
        Calibration.of(np.arange(5.0), np.zeros(4, int), 2, [0.5])


def test_folds_give_p_values_of_all_their_detectors_and_say_what_they_promise() -> None:
    random = np.random.default_rng(0)
    confidences, folds, new = random.random(50), np.arange(50) % 5, random.random((5, 7))
    known = Calibration.of(confidences, np.zeros(50, int), 2, [0.05, 0.1], folds)
    assert known.fold_count == 5
    assert (known.p_values(new, np.zeros(7, int)) == conformal.cross_p_values(confidences, folds, new)).all()
    assert known.thresholds(CLASSES) == []
    assert f"(5 %: {100 * conformal.cross_bound(0.05, 50, 5):.1f} %, 10 %: " in known.guarantee
    assert "weaker" in known.guarantee


def test_read_back_from_json() -> None:
    random = np.random.default_rng(0)
    confidences = random.random(400).astype(np.float32)
    classes = random.integers(0, 3, 400)
    known = Calibration.of(confidences, classes, 3, [0.1], grouping=classes)
    other = Calibration.read(json.loads(json.dumps(known.header())))
    new, classes = confidences[:50], random.integers(0, 3, 50)
    assert (other.p_values(new, classes) == known.p_values(new, classes)).all()
    assert other.levels == known.levels
