"""Every warning of the page has a table, a training or images that trigger it, and ones that do not."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from synthood.reporting.page import checks
from synthood.reporting.page.tables import Report
from toy_reports import NAN, report, small_report, value

SETS = ("near", "far", "eights", "noise", "textures")


def rows(recipe: str = "ce", detector: str = "msp", mean: float = 90.0, **more: object) -> list[dict[str, object]]:
    return [value(recipe, detector, part, mean, **more) for part in SETS]


def found(made: Report) -> dict[str, list[str]]:
    """Sentences by check."""
    sentences: dict[str, list[str]] = {}
    for one in checks.of_table(made):
        sentences.setdefault(one.check, []).append(one.text)
    return sentences


def test_a_sound_table_has_no_warning() -> None:
    assert found(report(rows(seeds=5), seeds=[0, 1, 2, 3, 4])) == {}


def test_detectors_below_chance() -> None:
    low = [value("ce", "energy", part, 30.0 + at, seeds=5) for at, part in enumerate(SETS)]
    values = [*rows(seeds=5), *low, *rows(detector="react", seeds=5)]
    values[-1]["mean"] = 49.9
    (sentence,) = found(report(values))["below_chance"]
    assert sentence == (
        "Below chance (AUROC under 50) on digits: energy in 5 of 5 cells, react in 1 of 5 cells; lowest 30.0 by energy "
        "with ce on near. There OOD images look more ID than ID images."
    )


def test_fifty_is_chance_and_not_below() -> None:
    assert "below_chance" not in found(report(rows(mean=50.0)))


def test_low_is_good_for_other_metrics() -> None:
    assert "below_chance" not in found(report(rows(mean=3.0, metric="fpr95_id_positive")))


@pytest.mark.parametrize(
    ("metric", "mean", "printed"), [("auroc", 99.996, "100.00"), ("fpr95_id_positive", 0.004, "0.00")]
)
def test_a_saturated_set(metric: str, mean: float, printed: str) -> None:
    values = [row for detector in "abcd" for row in rows(detector=detector, metric=metric)]
    values[values.index(value("ce", "b", "noise", 90.0, metric=metric))]["mean"] = mean
    (sentence,) = found(report(values))["saturated"]
    assert f"on digits is saturated: {printed} in 1 of 4 on noise cells" in sentence


def test_one_saturated_cell_of_five_is_none() -> None:
    values = [row for detector in "abcde" for row in rows(detector=detector)]
    values[3]["mean"] = 100.0
    assert "saturated" not in found(report(values))


@pytest.mark.parametrize(("seeds", "start"), [(1, "One seed"), (3, "3 seeds: too few"), (4, "4 seeds"), (5, None)])
def test_too_few_seeds(seeds: int, start: str | None) -> None:
    sentences = found(report(rows(seeds=seeds))).get("few_seeds", [])
    assert [sentence.startswith(start or "") for sentence in sentences] == [True] * (start is not None)


def test_rows_of_fewer_seeds() -> None:
    made = report([*rows("ce", seeds=5), *rows("sio", seeds=3)])
    (sentence,) = found(made)["uneven_seeds"]
    assert sentence.startswith("sio: over 3 seeds, where other rows have 5.")
    fixed = report([*rows("ce", seeds=5), *rows("sio", seeds=1)], settings={"fixed": ["sio"]})
    assert "uneven_seeds" not in found(fixed)


def test_sets_that_are_all_computed() -> None:
    made = report(rows(), settings={"computed": {"digits": ["noise", "textures"]}})
    (sentence,) = found(made)["computed_only"]
    assert sentence.startswith("All far OOD sets of digits are computed images (noise, textures)")
    assert "computed_only" not in found(report(rows(), settings={"computed": {"digits": ["noise"]}}))
    assert "computed_only" not in found(report(rows(), settings={"computed": {"digits": ["noise"]}, "far": {}}))


def test_numbers_that_are_published_alone() -> None:
    values = [*rows(published=NAN), *rows("sio", published=95.0)]
    for row in values[5:]:
        row["mean"] = NAN
    (sentence,) = found(report(values))["published_only"]
    assert sentence == "Published but not measured here: sio by msp."


def test_missing_numbers_and_rows() -> None:
    values = [*rows(), *rows("sio")]
    values[7]["mean"] = NAN
    made = report(values, recipes=["ce", "sio", "gone"])
    (sentence,) = found(made)["missing"]
    assert sentence == "No number on digits for sio by msp, gone by msp (AUROC)."


def history(training: list[float], validation: list[float] | None = None) -> pd.DataFrame:
    columns = {"epoch": range(len(training)), "accuracy": training}
    return pd.DataFrame(columns | ({"val_accuracy": validation} if validation else {}))


def under_fitted(*histories: pd.DataFrame) -> list[str]:
    runs = {("digits", "ce", seed): one for seed, one in enumerate(histories)}
    return [one.text for one in checks.under_fitted(runs)]


def test_trainings_that_end_low_or_while_they_rise() -> None:
    flat = list(np.linspace(0.2, 0.95, 10)) + [0.95] * 10
    rising = list(np.linspace(0.2, 0.95, 20))
    assert under_fitted(history(flat, flat)) == []
    assert under_fitted(history(rising, flat)) == []  # training alone rises at the end of every schedule
    (still,) = under_fitted(history(rising, rising))
    assert (
        still == "ce on digits may be under-fitted: accuracy still rose at its end (training +8, validation +8 points)."
    )
    (low,) = under_fitted(history([0.2, 0.4], [0.3, 0.5]), history([0.2, 0.6], [0.3, 0.7]))
    assert low == "ce on digits may be under-fitted: accuracy at its end is training 50 %, validation 60 %."


def test_a_checkpoint_has_no_training() -> None:
    assert under_fitted(history([], [])) == []


def images(check: Callable[..., object], figures: dict[str, object]) -> list[tuple[str, str]]:
    return [(one.check, one.text) for one in check("biggan on digits", figures)]  # type: ignore[attr-defined]  # by name


def test_synthetic_images_that_copy() -> None:
    near = {"copy_share": 0.01, "copying": {"pixels": -3.86, "classifier": -1.0}}
    ((check, sentence),) = images(checks.of_synthetic, near)
    assert (check, "gives -3.9 in pixels, below -3" in sentence) == ("copying", True)
    assert images(checks.of_synthetic, {"copy_share": 0.01, "copying": {"pixels": -3.0, "classifier": None}}) == []
    ((check, sentence),) = images(checks.of_synthetic, {"copy_share": 0.2, "copying": {}})
    assert "20.0 % are as near to one" in sentence


def test_outliers_that_are_id() -> None:
    good = {"kept": 40, "after_gate": {"called_id_share": 0.1, "surely_other_class_share": 0.0, "intended_share": 0.02}}
    assert images(checks.of_outliers, good) == []
    poor = {"kept": 40, "after_gate": {**good["after_gate"], "called_id_share": 0.51, "surely_other_class_share": 0.67}}  # type: ignore[dict-item]  # mixed values
    ((check, sentence),) = images(checks.of_outliers, poor)
    assert check == "outliers_that_are_id"
    assert "51 % are called ID by the judge" in sentence
    assert "67 % are surely images of another ID class" in sentence


def test_no_accepted_outlier() -> None:
    nothing = {"kept": 0, "after_gate": {"called_id_share": None}}
    assert images(checks.of_outliers, nothing) == [("no_outliers", "The gate of biggan on digits accepted no outlier.")]


def test_a_small_report_warns_of_its_seeds_alone() -> None:
    assert list(found(small_report())) == ["few_seeds"]


def test_processors_of_several_kinds() -> None:
    assert list(checks.several_processors({})) == list(checks.several_processors({"x86_64 AVX2": 30})) == []
    (warned,) = checks.several_processors({"x86_64 AVX2": 30, "x86_64 AVX512": 2})
    assert warned.text == (
        "Jobs ran on processors of different instructions (30 with x86_64 AVX2, 2 with x86_64 AVX512): run again on "
        "one kind, results may differ in their last bits."
    )
