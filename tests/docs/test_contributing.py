"""CONTRIBUTING.md is true: its recipes, followed to the letter in a copy of the package, add methods that work."""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from checkouts import PROJECT
from synthood.config.load import load_file
from synthood.workflow.plausible import wrong_files
from toy_features import toy_reference

TEXT = (PROJECT / "CONTRIBUTING.md").read_text()


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package with every block of CONTRIBUTING.md written to the file that it names."""
    place = tmp_path_factory.mktemp("copy")
    shutil.copytree(PROJECT / "src", place / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy2(PROJECT / "tests/config.yaml", place)
    for name in ("CONTRIBUTING.md", "pyproject.toml"):
        shutil.copy2(PROJECT / name, place)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(PROJECT / "benchmarks"))
        extension = importlib.import_module("extension")
    for name, code in extension.blocks(TEXT).items():
        extension.write_block(place / name, code)
    return place


@pytest.fixture(scope="module")
def found(copy: Path) -> Any:
    """What tests/docs/followed.py finds there."""
    variables = os.environ | {"PYTHONPATH": os.pathsep.join([str(copy / "src"), str(PROJECT / "tests")])}
    command = [sys.executable, str(PROJECT / "tests/docs/followed.py")]
    return json.loads(subprocess.check_output(command, cwd=copy, env=variables, text=True))


def test_every_recipe_is_followed(copy: Path) -> None:
    files = [*(copy / "my").iterdir(), *(copy / "src/synthood/data/benchmarks").glob("dogs.yaml")]
    names = ["accepted.py", "dogs.yaml", "flat.py", "grey.py", "margin.py", "short.py", "stripes.py"]
    assert sorted(file.name for file in files) == names
    assert (copy / "src/synthood/training/methods/short_features.py").is_file()
    assert "class Margin(Detector)" in (copy / "src/synthood/evaluation/detectors/logits.py").read_text()


def test_detectors_score_by_their_formula(found: Any) -> None:
    first, second = toy_reference().val.logits.topk(2).values.unbind(1)
    for power, new, mine in zip((0.5, 1.0), *(found["scores"][name] for name in ("new", "mine")), strict=True):
        torch.testing.assert_close(torch.tensor(new), (first - second) ** power)
        assert new == mine


def test_losses_have_their_value_and_reach_the_network(found: Any) -> None:
    expected = [pytest.approx(0.1 * found["squares"], rel=1e-5), True]
    assert found["losses"] == {"new": expected, "mine": expected}
    assert found["squares"] > 0


def test_generators_draw_the_mean_level_of_each_class(found: Any) -> None:
    train, drawn = np.array(found["images"][0]), found["images"][1]
    cat, dog = (train[label::2].mean().astype(np.uint8) for label in (0, 1))
    assert cat != dog
    expected = np.stack([np.full((3, 3, 3), level) for level in (cat, dog, cat)])
    assert np.array_equal(drawn["new"], expected)
    assert np.array_equal(drawn["mine"], expected)


def test_networks_and_augmentations_are_built_and_change_images(found: Any) -> None:
    assert found["networks"] == [[50, 3, 16], [50, 3, 192]]
    low, high = found["dimming"]
    assert 0 <= low < 0.05
    assert 0.2 < high <= 0.25
    assert 15 <= found["mirrored"] <= 35


def test_metrics_have_their_value(found: Any) -> None:
    """The best thresholds are 3, or 1 and below: two of three ID rejected, or one of two OOD accepted."""
    assert found["metrics"] == {"detection_error": pytest.approx(1 / 4), "accepted": 1 / 2}


def test_sources_draw_what_they_say(found: Any) -> None:
    stripes = np.zeros((4, 32, 32, 3))
    stripes[:, 1::2] = 255
    for name in ("new", "mine"):
        np.testing.assert_array_equal(found["stripes"][name], stripes)


def test_a_benchmark_is_a_dataset(found: Any) -> None:
    assert found["near"] == "data/wolves"


def test_what_is_added_is_listed_checked_and_tested(found: Any) -> None:
    names = {family: {line.split()[0] for line in lines} for family, lines in found["listed"].items()}
    assert "margin" in names["detectors"]
    assert "short_features" in names["losses"]
    assert "detection_error" in names["metrics"]
    assert {"near.stripes", "near.custom", "id.custom"} <= names["sources"]
    assert "dogs" in names["benchmarks"]
    assert "grey" in names["generators"]
    assert "plain" in names["networks"]
    assert "dimming" in names["augmentations"]
    assert "margin" in found["tested"]
    assert found["mistakes"] == []


@pytest.mark.parametrize("file", sorted(PROJECT.glob("examples/*/config.yaml")), ids=lambda file: file.parent.name)
def test_examples_are_configurations_whose_files_are_right(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    assert list(wrong_files(load_file(file))) == []


def test_the_code_is_clean(copy: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--no-cache",
        "src/synthood/evaluation",
        "src/synthood/generators",
        "src/synthood/training",
        "src/synthood/data",
        "my",
    ]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_files_that_are_named_exist() -> None:
    prose = re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)
    named = {name for name in re.findall(r"`([\w./-]+)`", prose) if "/" in name and not name.startswith("my/")}
    missing = [name for name in named if not any((PROJECT / base / name).exists() for base in (".", "src/synthood"))]
    assert len(named) > 20
    assert missing == []
