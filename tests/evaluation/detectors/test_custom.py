"""Detectors of the user's own: run from their file, searched like others, and told of when they go wrong."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from synthood.config.load import load
from synthood.errors import SynthoodError
from synthood.evaluation import detectors
from synthood.evaluation.features import Features, Reference
from synthood.evaluation.kinds import Custom
from synthood.evaluation.search import Validation, fitted
from synthood.workflow.plan import Plan
from toy_features import part

NORM = """
def fit(reference, power=1.0):
    mean = reference.train.features.mean(0)
    return lambda x: (x.features - mean).norm(dim=1).double() ** power

def wrong(reference):
    return lambda x: {wrong}

number = 3
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(NORM.format(wrong="x.logits"))
    return path


def custom(file: Path, **more: Any) -> Custom:
    return Custom.model_validate({"kind": "custom", "file": str(file), **more})


def test_the_users_function_is_the_score(file: Path, reference: Reference, near: Features) -> None:
    found = detectors.fit(custom(file, values={"power": 2.0}), reference)(near)
    expected = (near.features - reference.train.features.mean(0)).square().sum(1)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert found.dtype == torch.float32


def test_its_grids_are_searched(file: Path, reference: Reference) -> None:
    validation = Validation(reference, part(80, 8, reference.weight, reference.bias, far=1.0))
    _, table = fitted({"mine": custom(file, values={"power": [-1.0, 1.0]})}, validation)
    low, high = table["auroc"]
    assert low == pytest.approx(1 - high, abs=1e-9)
    assert table["chosen"].tolist() == [low > high, high >= low]


@pytest.mark.parametrize(
    ("more", "content", "message"),
    [
        ({"function": "missing"}, None, "mine.py: has no function 'missing'"),
        ({"function": "number"}, None, "mine.py: has no function 'number'"),
        ({"values": {"powr": 1}}, None, "mine.py: fit: TypeError: .*powr"),
        (
            {"function": "wrong"},
            None,
            r"mine.py: wrong: must give a confidence per sample, a tensor \[400\], got \[400, 4\]",
        ),
        ({"function": "wrong"}, NORM.format(wrong="3"), r"a tensor \[400\], got int"),
        ({}, "import nowhere_at_all", "mine.py: ModuleNotFoundError: .*nowhere_at_all"),
        ({}, "def fit(reference): return 3", "mine.py: fit: must return a function of features, got int"),
        ({}, "def fit(reference): return lambda x: 1 / 0", "mine.py: fit: ZeroDivisionError"),
    ],
)
def test_what_goes_wrong_in_it_is_told(
    more: dict[str, Any], content: str | None, message: str, file: Path, reference: Reference, near: Features
) -> None:
    if content:
        file.write_text(content)
    with pytest.raises(SynthoodError, match=message):
        detectors.fit(custom(file, **more), reference)(near)


def test_a_missing_file_is_named(tmp_path: Path, reference: Reference) -> None:
    with pytest.raises(SynthoodError, match=r"elsewhere\.py: not found; paths of detectors start where snakemake runs"):
        detectors.fit(custom(tmp_path / "elsewhere.py"), reference)


def planned(demo: dict[str, Any], file: Path) -> str:
    demo["detectors"]["mine"] = {"kind": "custom", "file": str(file), "values": {"power": [1, 2.5]}}
    return Plan(load(demo)).score_settings(SimpleNamespace(dataset="digits", recipe="ce")).canonical()


def test_an_edit_of_the_file_changes_the_jobs_settings_and_a_comment_does_not(
    demo: dict[str, Any], tmp_path: Path
) -> None:
    texts = []
    for name, content in (("a", NORM), ("b", NORM + "# a remark\n"), ("c", NORM.replace("power=1.0", "power=2.0"))):
        path = tmp_path / name / "mine.py"
        path.parent.mkdir()
        path.write_text(content)
        texts.append(planned(demo, path).replace(str(path), "mine.py"))
    assert texts[0] == texts[1] != texts[2]


def test_a_file_that_cannot_be_read_stops_before_any_job(demo: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(SynthoodError, match=r"nowhere\.py: cannot be read"):
        planned(demo, tmp_path / "nowhere.py")
    (tmp_path / "mine.py").write_text("def fit(:\n")
    with pytest.raises(SynthoodError, match=r"mine\.py: line 1: "):
        planned(demo, tmp_path / "mine.py")


def test_without_own_detectors_the_settings_are_as_before(demo: dict[str, Any]) -> None:
    text = Plan(load(demo)).score_settings(SimpleNamespace(dataset="digits", recipe="ce")).canonical()
    assert '"code"' not in text
