"""Metrics of the user's own: the function's values under every weighting, and what goes wrong in one."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from checkouts import PROJECT
from synthood.errors import SynthoodError
from synthood.evaluation.metrics.custom import CustomMetric
from synthood.evaluation.metrics.rates import Fpr95IDPositive
from synthood.evaluation.ranking import Ranking

EXAMPLE = str(PROJECT / "examples/custom_metric/rates.py")
RANDOM = np.random.default_rng(0)
IDS, OODS = RANDOM.normal(0.8, 1, 60).round(1), RANDOM.normal(0, 1, 45).round(1)
WEIGHTS = tuple(RANDOM.multinomial(n, np.full(n, 1 / n), size=6) for n in (60, 45))


def custom(file: str, **more: Any) -> CustomMetric:
    return CustomMetric.model_validate({"name": "mine", "file": file, **more})


def test_the_example_at_95_percent_is_the_metric_of_the_package_under_every_weighting() -> None:
    mine, theirs = custom(EXAMPLE, function="fpr", values={"recall": 0.95}), Fpr95IDPositive()
    for weights in ((), WEIGHTS):
        found = Ranking(IDS, OODS).metrics(weights, [mine, theirs])
        assert found["mine"] == pytest.approx(found["fpr95_id_positive"], abs=1e-12)


@pytest.mark.parametrize("most", [0.1, 0.25, 0.4, 1.0])
def test_the_example_s_partial_area_is_scikit_learn_s(most: float) -> None:
    """Their standardised area (McClish) turned back into the area itself."""
    found = Ranking(IDS, OODS).metrics((), [custom(EXAMPLE, function="partial_auroc", values={"most": most})])["mine"]
    truth, scores = [1] * len(IDS) + [0] * len(OODS), np.concatenate([IDS, OODS])
    theirs = roc_auc_score(truth, scores, max_fpr=most)
    area = theirs if most == 1 else (2 * theirs - 1) * (most - most**2 / 2) + most**2 / 2
    assert found[0] == pytest.approx(area / most, abs=1e-12)


def test_samples_come_sorted_and_as_often_as_they_weigh(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "def metric(ids, oods):\n"
        "    assert (ids[1:] >= ids[:-1]).all() and (oods[1:] >= oods[:-1]).all()\n"
        "    return (ids.sum() + len(oods)) / 10\n"
    )
    weights = np.array([[1, 1], [0, 2], [2, 0]]), np.array([[1, 1, 1]] * 3)
    found = Ranking(np.array([2.0, 1.0]), np.zeros(3)).metrics(weights, [custom(str(tmp_path / "mine.py"))])
    assert found["mine"] == pytest.approx([0.6, 0.5, 0.7])


WRONG = {
    "def metric(ids, oods): return 1 / 0": r"mine.py: metric: ZeroDivisionError: division by zero \(line 1\)",
    "import nowhere_at_all\ndef metric(ids, oods): ...": r"mine.py: ModuleNotFoundError: .*nowhere_at_all.*\(line 1\)",
    "def metric(ids): return 1": r"mine.py: metric: TypeError: .*",
    "def metric(ids, oods): return None": "must give one number, got None",
    "def metric(ids, oods): return 'a'": "must give one number, got 'a'",
    "def metric(ids, oods): return ids": r"must give one number, got \[30\] numbers",
    "def metric(ids, oods): return float('nan')": r"must give a number in \[0,1\], got nan",
    "def metric(ids, oods): return -0.1": r"must give a number in \[0,1\], got -0.1",
    "def metric(ids, oods): return 95": r"must give a number in \[0,1\], got 95",
    "def metric(ids, oods):\n ids += 1\n return 0": r"ValueError: .*read-only \(line 2\)",
}


@pytest.mark.parametrize("code", WRONG)
def test_what_goes_wrong_is_one_sentence(tmp_path: Path, code: str) -> None:
    (tmp_path / "mine.py").write_text(code + "\n")
    with pytest.raises(SynthoodError, match=WRONG[code]) as told:
        custom(str(tmp_path / "mine.py")).dry_run()
    assert "\n" not in str(told.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SynthoodError, match=re.escape("gone.py: not found")):
        custom(str(tmp_path / "gone.py")).dry_run()


def test_only_a_number_of_one_line_is_text_above_a_table() -> None:
    assert custom("a.py", description="Two.").note == "mine: Two."
    assert custom("a.py").note == ""
    with pytest.raises(ValueError, match="one line without control characters"):
        custom("a.py", description="a\nb")
