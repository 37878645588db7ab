"""Published figures: the shipped data files, what of them stands in a table, and when ours agree."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_ind

from synthood.config.load import load
from synthood.errors import SynthoodError
from synthood.reporting.markdown_table import markdown
from synthood.reporting.published import agreement, figures, read, shipped
from synthood.reporting.results import GAINS, Results
from synthood.reporting.settings import Published, PublishedFigure, TableSettings

LEADERBOARD = Published(
    source="openood-v1.5",
    trainings={"ce": "CrossEntropy"},
    detectors={"soft": "MSP", "near": "KNN"},
    datasets={"digits": "cifar10"},
)


def test_the_leaderboards_baseline_stands_beside_the_recipe_of_that_name() -> None:
    found = {(f.detector, f.set): (f.value, f.sd) for f in figures(LEADERBOARD, ["digits"])}
    assert found == {
        ("soft", "near"): (0.8803, 0.0025),
        ("soft", "far"): (0.9073, 0.0043),
        ("near", "near"): (0.9064, 0.0020),
        ("near", "far"): (0.9296, 0.0014),
        ("", "test"): (0.9506, 0.0030),
    }


@pytest.mark.parametrize("source", shipped())
def test_shipped_files_say_their_source_and_hold_percentages_once(source: str) -> None:
    sentence, rows = read(source)
    assert "arXiv" in sentence
    named = [(r["dataset"], r["network"], r["training"], r["detector"]) for r in rows]
    if source != "openood-v1.5":  # ImageNet-1K has rows of several checkpoints of one network
        assert len(set(named)) == len(named)
    values = [float(r[key]) for r in rows for key in ("near_auroc", "far_auroc", "id_accuracy") if r[key]]
    assert len(values) > 2 * len(rows) - 1
    assert 20 < min(values) <= max(values) < 100


def test_sios_average_gain_over_its_rows_is_the_published_one() -> None:
    rows = [row for row in read("sio-table1")[1] if row["dataset"] == "cifar10"]
    with_sio = np.array([row["training"].endswith("+ SIO") for row in rows])
    near = np.array([float(row["near_auroc"]) for row in rows])
    means = [near[~with_sio].mean(), near[with_sio].mean()]
    assert len(rows) == 34
    assert means == pytest.approx([86.03, 88.93], abs=0.005)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trainings": {"ce": "Crossentropy"}}, r"openood-v1\.5 has no training 'Crossentropy', only .*CrossEntropy"),
        ({"detectors": {"soft": "softmax"}}, "no detector 'softmax'"),
        ({"datasets": {}}, "no dataset 'digits', only cifar10"),
        ({"datasets": {"digits": "imagenet1k"}}, r"published\.network: .*ResNet50.*choose one"),
        ({"source": "leaderboard"}, "published figures are openood-2023-03, openood-v1.5, sio-table1"),
        ({"source": "none.csv"}, r"none\.csv: not found"),
    ],
)
def test_what_the_source_does_not_have_is_told(change: dict[str, object], message: str) -> None:
    with pytest.raises(SynthoodError, match=message):
        figures(LEADERBOARD.model_copy(update=change), ["digits"])


def test_a_file_of_ones_own_is_read_by_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("# A thesis\ndataset,training,detector,near_auroc\ncifar10,CrossEntropy,MSP,88\n")
    path.with_suffix(".yaml").write_text("sets: {cifar10: {test: 9, near: {cats: 3}}}")
    one = LEADERBOARD.model_copy(update={"source": str(path), "detectors": {"soft": "MSP"}})
    figure = PublishedFigure(dataset="digits", recipe="ce", detector="soft", set="near", metric="auroc", value=0.88)
    assert figures(one, ["digits"]) == [figure]


def test_a_table_without_a_source_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("dataset,training,detector\ncifar10,CrossEntropy,MSP\n")
    with pytest.raises(SynthoodError, match=r"mine\.csv: expected a first line `# source`"):
        read(str(path))


def test_means_agree_within_welchs_interval_of_their_difference() -> None:
    ours, theirs = np.array([1.0, 2.5, 4.0, 7.0, 3.0]), np.array([2.0, 6.0, 5.0])
    low, high = ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
    assert agreement(ours.std(ddof=1), theirs.std(), seeds=5) == pytest.approx((high - low) / 2)
    assert agreement(0.0, 0.0, seeds=5) == 0.0


def rendered(seeds: int, **published: object) -> list[str]:
    """Cells of near and its published figure, of a recipe whose mean is 90 with SD 0.1."""
    one = {"dataset": "digits", "recipe": "ce", "detector": "soft", "set": "near", "metric": "auroc"}
    one |= {"mean": 90.0, "sd": 0.1, "low": 89.0, "high": 91.0, "seeds": seeds}
    one |= {"published": 88.03, "published_sd": 0.25, "published_note": ""} | published
    table = TableSettings(
        datasets=["digits"],
        recipes=["ce"],
        seeds=[*range(seeds)],
        detectors=["soft"],
        baselines=["ce"],
        columns=["auroc"],
    )
    shown = markdown(Results(pd.DataFrame([one]), pd.DataFrame([], columns=GAINS)), table).splitlines()
    header, _, values = [line.strip("| ").split(" | ") for line in shown if line.startswith("| ")]
    assert header[2:] == ["near", "gain near", "published near", "difference"]
    return [*values[4:], *shown[-1:]]


def test_whether_chance_allows_a_difference_is_said_from_five_seeds_on() -> None:
    assert rendered(5)[:2] == ["88.03 ± 0.25", "+1.97 beyond ±0.7"]
    assert rendered(5, published=89.5)[:2] == ["89.50 ± 0.25", "+0.50 within ±0.7"]
    assert rendered(4)[:2] == ["88.03 ± 0.25", "+1.97"]


def test_a_disputed_figure_has_a_mark_and_a_reason_and_no_verdict() -> None:
    cells = rendered(5, published_note="a run was lower")
    assert cells[:2] == ["88.03 ± 0.25 †", "+1.97"]
    assert cells[2] == "† Published near mean of ce by soft is disputed: a run was lower."


@pytest.mark.parametrize(("dataset", "value"), [("imagenet200", 0.9574), ("imagenet1k", 0.9522)])
def test_comboods_near_figures_on_imagenet_are_disputed(dataset: str, value: float) -> None:
    asked = LEADERBOARD.model_copy(
        update={
            "detectors": {"comb": "CombOOD"},
            "datasets": {},
            "network": "ResNet18" if "2" in dataset else "ResNet50",
        }
    )
    found = {figure.set: figure for figure in figures(asked, [dataset])}
    assert found["near"].value == value
    assert "https://github.com/Jingkang50/OpenOOD/issues/307" in found["near"].disputed
    assert found["far"].disputed == found["test"].disputed == ""
    assert not any(figure.disputed for figure in figures(asked.model_copy(update={"network": None}), ["cifar10"]))


def test_names_that_the_table_does_not_have_stop_before_any_job(demo: dict) -> None:
    demo["tables"]["demo-sio"]["published"] = LEADERBOARD.model_dump() | {"trainings": {"cee": "CrossEntropy"}}
    with pytest.raises(SynthoodError, match=r"tables\.demo-sio\.published\.trainings: 'cee' is not in the table"):
        load(demo)
