"""Published figures are shown for the same images alone, and a table says why others are not."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from synthood.config.benchmarks import FOLDER as BENCHMARKS
from synthood.config.like import sets_resolved
from synthood.config.load import load
from synthood.errors import SynthoodError
from synthood.reporting.html_table import html_page
from synthood.reporting.markdown_table import markdown
from synthood.reporting.published import FOLDER, read, sets_of, shipped
from synthood.reporting.published_sets import contradiction, sidecar, unsaid
from synthood.reporting.results import Results
from synthood.reporting.settings import ImageSets, Published
from synthood.reporting.tabulate import tabulate
from synthood.workflow.plan import Plan

ASKED = {"source": "openood-v1.5", "trainings": {"ce": "CrossEntropy"}, "detectors": {"msp": "MSP"}}


def counts(benchmark: str) -> ImageSets:
    """What a benchmark's file says, demanded or reported."""
    content = sets_resolved(yaml.safe_load((BENCHMARKS / f"{benchmark}.yaml").read_text()), benchmark)

    def of(source: dict[str, Any]) -> Any:
        return {**source.get("reported_count", {}), **source.get("count", {})}

    def each(role: str) -> dict[str, int]:
        return {name: one.get("count", one.get("reported_count")) for name, one in content[role].items()}

    lists = of(content["id"])
    return ImageSets(train=lists.get("train"), test=lists["test"], near=each("near"), far=each("far"))


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100", "imagenet200", "imagenet1k"])
def test_the_leaderboards_sets_are_those_of_the_benchmark(dataset: str) -> None:
    assert sets_of(Published.model_validate(ASKED), dataset) == counts(f"openood-{dataset}")


@pytest.mark.parametrize("source", shipped())
def test_every_shipped_dataset_says_what_its_means_are_over(source: str) -> None:
    assert {row["dataset"] for row in read(source)[1]} == set(sidecar(FOLDER / f"{source}.csv").sets)


def test_sio_does_not_say_how_many_images_it_used() -> None:
    theirs = sets_of(Published.model_validate(ASKED | {"source": "sio-table1"}), "cifar10")
    ours = counts("sio-cifar10")
    assert [contradiction(theirs, ours, part) for part in ("test", "near", "far")] == ["", "", ""]
    assert unsaid(theirs, "test") == "the source does not say how many images of the ID test set it used"
    assert "the ID test set and cifar100 it used" in unsaid(theirs, "near")


OVER = ImageSets(train=60, test=20, near={"a": 3, "b": 4}, far={"c": 5})


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        ({}, ["", "", ""]),
        ({"test": None, "near": {"a": None, "b": None}}, ["", "", ""]),
        ({"near": {"a": 3}}, ["", "published over a and b, here over a", ""]),
        ({"far": {}}, ["", "", "published over c, here over no set"]),
        ({"near": {"a": 3, "b": 5}}, ["", "published with 4 images of b, here 5", ""]),
        ({"test": 21}, ["published with 20 images of the ID test set, here 21"] * 3),
        ({"train": 6}, ["published with 60 images of the ID training set, here 6"] * 3),
        ({"shifted": {"s": 3}}, ["published over no set, here over s"] * 3),
    ],
)
def test_contradictions_by_hand(change: dict[str, Any], reasons: list[str]) -> None:
    ours = OVER.model_copy(update=change)
    assert [contradiction(OVER, ours, part) for part in ("test", "near", "far")] == reasons


def configured(demo: dict[str, Any], dataset: Any, published: dict[str, Any], **table: Any) -> dict[str, Any]:
    """The demo's cross-entropy on another dataset, with published figures."""
    one = {"datasets": ["mine"], "recipes": ["ce"], "seeds": [0], "detectors": ["msp"], "baselines": ["ce"]}
    for section in ("generators", "outliers", "assess"):
        demo.pop(section)
    return demo | {
        "datasets": {"mine": dataset},
        "recipes": {"ce": demo["recipes"]["ce"]},
        "build": ["t"],
        "tables": {"t": one | {"published": ASKED | {"datasets": {"mine": "cifar10"}} | published, **table}},
    }


def openood(**change: Any) -> dict[str, Any]:
    return {"benchmark": "openood-cifar10", "path": "data", **change}


def folder(name: str) -> dict[str, Any]:
    return {"kind": "folders", "path": f"data/{name}", "size": 32}


SOME = {"kind": "imglist", "path": "data", "list": "list.txt", "size": 32, "count": 12000, "except_labels": [3]}


@pytest.mark.parametrize(
    ("dataset", "published"),
    [
        (openood(), {}),
        (openood(far={"svhn": None, "texture": None, "places365": None}), {}),
        (openood(far={"mnist": None, "numerals": folder("numerals")}), {"sets": {"numerals": "mnist"}}),
        (openood(near={"cifar100": None, "some": SOME}, far={"svhn": None}), {"sets": {"some": "cifar100"}}),
        ({"benchmark": "sio-cifar10", "path": "data"}, {"source": "sio-table1"}),
    ],
    ids=["all", "near", "renamed", "lines that are not all taken", "sio"],
)
def test_a_dataset_of_which_a_role_has_the_published_sets_loads(
    demo: dict[str, Any], dataset: dict[str, Any], published: dict[str, Any]
) -> None:
    assert load(configured(demo, dataset, published)).tables["t"].published


NOISE = {"kind": "noise", "images": 70000}


@pytest.mark.parametrize(
    ("dataset", "published", "message"),
    [
        (
            None,
            {},
            r"'mine' is not 'cifar10' of openood-v1\.5: near published over cifar100 and tin, here over .*; far",
        ),
        (openood(), {"datasets": {"mine": "cifar100"}}, "near published over cifar10 and tin, here over cifar100"),
        (openood(), {"source": "sio-table1"}, None),
        (openood(near={"tin": None}, far={"svhn": None}), {}, "here over cifar100; far published over mnist, svhn"),
        (openood(near={"tin": None}, far={"mnist": None, "m": NOISE}), {"sets": {"m": "mnist"}}, "kind noise"),
        (openood(id={"train_per_class": 500}), {}, "50,000 images of the ID training set, here 5,000"),
        (openood(near={"tin": None, "t": folder("t")}), {"sets": {"t": "cifar100"}}, "two sets of one dataset"),
        (openood(), {"sets": {"numerals": "mnist"}}, r"published\.sets: 'numerals' is not in the table"),
        (openood(shifted={"s": folder("s")}), {"full": True}, "published over no set, here over s"),
    ],
)
def test_other_data_than_the_published_is_refused_before_any_job(
    demo: dict[str, Any], dataset: Any, published: dict[str, Any], message: str | None
) -> None:
    full = {"full_spectrum": published.pop("full")} if "full" in published else {}
    dataset = dataset or demo["datasets"]["digits"]
    raw = configured(demo, dataset, published, **full)
    if message is None:  # far sets are SIO's own, so near alone is left out, by the table
        assert load(raw)
        return
    with pytest.raises(SynthoodError, match=message) as raised:
        load(raw)
    assert str(raised.value).count("\n") == 0


CSV = """# A thesis
dataset,training,detector,near_auroc,near_auroc_sd,far_auroc,far_auroc_sd,id_accuracy
mine,CrossEntropy,MSP,88,0.1,90,0.1,95
"""
SETS = "sets: {mine: {test: 20, near: {a: 3, b: 4}, far: {c: 5}}}"


def made(demo: dict[str, Any], tmp_path: Path, sizes: dict[str, int], roles: dict[str, list[str]]) -> tuple[Any, ...]:
    """The rows of a table on sets of folders, and its settings."""
    source = tmp_path / "thesis.csv"
    source.write_text(CSV)
    source.with_suffix(".yaml").write_text(SETS)
    sidecar.cache_clear()
    sets = {role: {name: folder(name) for name in names} for role, names in roles.items()}
    ood_validation = folder("other")
    raw = configured(
        demo,
        {"id": {"kind": "folders", "path": "data/id", "size": 32}, **sets, "ood_validation": ood_validation},
        {"source": str(source), "datasets": {}},
        columns=["auroc", "id_accuracy"],
        resamples=10,
    )
    settings = Plan(load(raw)).tabulate_settings(SimpleNamespace(table="t"))
    parts = np.repeat(list(sizes), list(sizes.values()))
    random = np.random.default_rng(0)
    one = pd.DataFrame({"part": parts, "label": 0, "prediction": 0, "msp": random.random(len(parts))})
    return tabulate({("mine", "ce", 0): one}, settings), settings.table


ALL = {"near": ["a", "b"], "far": ["c"]}


def published(results: Results) -> dict[str, float]:
    return results.values[results.values["published"].notna()].set_index("set")["published"].to_dict()


def test_figures_of_the_same_images_are_shown(demo: dict[str, Any], tmp_path: Path) -> None:
    rows, table = made(demo, tmp_path, {"test": 20, "a": 3, "b": 4, "c": 5}, ALL)
    assert published(rows) == {"test": 95.0, "near": 88.0, "far": 90.0}
    assert "not comparable" not in markdown(rows, table)


@pytest.mark.parametrize(
    ("sizes", "roles", "shown", "reason"),
    [
        (
            {"test": 20, "a": 3, "c": 5},
            {"near": ["a"], "far": ["c"]},
            {"test": 95.0, "far": 90.0},
            "over a and b, here over a",
        ),
        ({"test": 20, "a": 3, "b": 3, "c": 5}, ALL, {"test": 95.0, "far": 90.0}, "with 4 images of b, here 3"),
        ({"test": 19, "a": 3, "b": 4, "c": 5}, ALL, {}, "with 20 images of the ID test set, here 19"),
    ],
)
def test_other_images_leave_the_cells_empty_and_a_reason(
    demo: dict[str, Any],
    tmp_path: Path,
    sizes: dict[str, int],
    roles: dict[str, list[str]],
    shown: dict[str, float],
    reason: str,
) -> None:
    """With one of four far sets left, its AUROC stood next to the published mean over all four: -38.13."""
    rows, table = made(demo, tmp_path, sizes, roles)
    assert published(rows) == shown
    for words in (markdown(rows, table), html_page(rows, table)):
        empty = 3 - len(shown)
        assert words.count(f"not comparable: published {reason}.") == empty
        assert ("published near" in words) == ("far" in shown)
    if shown:
        line = next(line for line in markdown(rows, table).splitlines() if line.startswith("| msp | ce |"))
        assert line.split(" | ")[4:6] == ["–", "–"]


def test_a_file_of_ones_own_must_say_what_its_means_are_over(demo: dict[str, Any], tmp_path: Path) -> None:
    source = tmp_path / "alone.csv"
    source.write_text(CSV)
    with pytest.raises(SynthoodError, match=r"alone\.yaml: must say which sets the means of alone\.csv are over"):
        load(configured(demo, openood(), {"source": str(source), "datasets": {"mine": "mine"}}))
