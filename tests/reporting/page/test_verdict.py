"""The verdict's sentences against numbers worked out by hand."""

import pytest

from synthood.reporting.page.verdict import best_sentences, chance
from toy_reports import NAN, gain, report, small_report, value


def test_best_next_and_paired_gain() -> None:
    near, far = best_sentences(small_report())["AUROC"]
    assert near == (
        "Near OOD on digits: sio by knn is best, AUROC 88.00 (95 % interval 87.0 to 89.0); +3.00 points over ce "
        "(paired, 95 % interval +2.00 to +4.00, 3 seeds, not tested). Next: ce by knn, 85.00."
    )
    assert far.startswith("Far OOD on digits: sio by knn is best, AUROC 93.00")


def test_a_next_row_that_was_not_compared_says_so() -> None:
    made = report([value("ce", "msp", "near", 90.0), value("ce", "knn", "near", 88.5)], baselines=["ce"])
    (near,) = best_sentences(made)["AUROC"]
    assert near.endswith(
        "; itself a baseline. Next: ce by knn, 88.50, 1.50 points behind by means; this pair was not compared."
    )


def test_a_tie_has_no_best() -> None:
    made = report([value(name, "msp", "near", 99.999) for name in "abcdef"])
    assert best_sentences(made)["AUROC"] == [
        "Near OOD on digits: a by msp, b by msp, c by msp, d by msp and 2 more share the best value, AUROC 100.00."
    ]


def test_lower_is_better_where_it_is() -> None:
    rows = [
        value("ce", "msp", "near", 30.0, metric="fpr95_id_positive"),
        value("ce", "knn", "near", 20.0, metric="fpr95_id_positive"),
    ]
    ((sentence,),) = best_sentences(report(rows)).values()
    assert "ce by knn is best, FPR95" in sentence


def test_summary_rows_and_missing_numbers_are_never_best() -> None:
    rows = [value("ce", "msp", "near", 80.0), value("ce", "average", "near", 99.0), value("ce", "knn", "near", NAN)]
    made = report(rows, detectors=["msp", "knn"], summary=["average"])
    assert best_sentences(made)["AUROC"] == [
        "Near OOD on digits: ce by msp is best, AUROC 80.00 (95 % interval 79.0 to 81.0)."
    ]


def test_no_near_and_no_far_set_is_no_sentence() -> None:
    made = report([value("ce", "", "test", 95.0, metric="id_accuracy")], detectors=["msp"])
    assert best_sentences(made) == {}


def test_no_seed_in_common() -> None:
    made = report(
        [value("ce", "msp", "near", 80.0), value("sio", "msp", "near", 81.0)], [gain("sio", "msp", "near", NAN)]
    )
    assert "; no seed in common with ce." in best_sentences(made)["AUROC"][0]


def test_significant_and_by_chance() -> None:
    """Two tests, one significant; a mirrored pair counts once."""
    assert chance(small_report()).startswith("1 of 2 tested comparisons is significant after Holm's correction")
    assert "chance alone would give about 0.1." in chance(small_report())
    rows = [value("a", "msp", "near", 80.0), value("b", "msp", "near", 81.0)]
    mirrored = [gain("b", "msp", "near", 1.0, "a", p=0.01), gain("a", "msp", "near", -1.0, "b", p=0.01)]
    assert chance(report(rows, mirrored)).startswith("1 of 1 tested comparisons")


@pytest.mark.parametrize(("points", "said"), [(1.5, "1 has"), (0.5, "0 have")])
def test_intervals_where_nothing_is_tested(points: float, said: str) -> None:
    rows = [value("a", "msp", "near", 80.0), value("b", "msp", "near", 81.0)]
    assert chance(report(rows, [gain("b", "msp", "near", points, "a")])) == (
        f"No comparison was tested: that takes 5 seeds. Of 1 gains near and far, {said} a 95 % interval without zero; "
        "chance alone would give about 0.05."
    )


def test_a_table_without_baselines_compares_nothing() -> None:
    assert chance(report([value("a", "msp", "near", 80.0)])) == "Nothing is compared: the table names no baselines."
