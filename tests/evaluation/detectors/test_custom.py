"""Detectors of the user's own: run from their file, searched like others, and told of when they go wrong."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from synthood.config.load import load
from synthood.errors import SynthoodError
from synthood.evaluation import features, scoring
from synthood.evaluation.detectors.custom import Custom
from synthood.evaluation.detectors.distances import Mds
from synthood.evaluation.detectors.logits import Msp
from synthood.evaluation.detectors.neighbours import Knn
from synthood.evaluation.feature_files import FeatureFolder, write_head, write_part
from synthood.evaluation.features import Features, Reference
from synthood.evaluation.score import confidences, fitted_on
from synthood.evaluation.search import Validation, fitted
from synthood.evaluation.settings import ScoreSettings
from synthood.workflow.plan import Plan, as_parameter
from toy_features import part, toy_reference

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
    found = custom(file, values={"power": 2.0}).fit(reference)(near)
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
        ({}, "def fit(reference):\n return lambda x: 1 / 0", r"mine.py: fit: ZeroDivisionError: .* \(line 2\)"),
        (
            {},
            "def fit(reference):\n return reference.train.features @ reference.bias[:1]",
            r"RuntimeError.*\(line 2\)$",
        ),
        ({}, "def fit(r): raise ValueError('a\\nb\\x1b[31mc')", r"ValueError: a\\nb\\x1b\[31mc \(line 1\)"),
        ({}, "import sys; sys.exit()", r"mine.py: SystemExit: .*\(line 1\)"),
        ({}, "def fit(r): return lambda x: x.logits[:, :1]", r"a tensor \[400\], got \[400, 1\]"),
        ({}, "def fit(r): return lambda x: x.logits[:, 0].numpy()[1:]", r"a tensor \[400\], got \[399\]"),
        ({}, "def fit(r): return lambda x: x.logits[:, 0].tolist()", r"a tensor \[400\], got list"),
        ({}, "def fit(r): return lambda x: x.logits[:, 0].cfloat()", "must give real numbers, got torch.complex64"),
        ({}, "def fit(r): return lambda x: x.labels.float().log()", r"gives \d+ of 400 samples .* not finite"),
        (
            {},
            "def fit(r): return lambda x: x.logits[:, 0].double() * 1e300",
            r"gives \d+ of 400 .* not finite in float32",
        ),
        ({}, "import torch\ntorch.set_num_threads(torch.get_num_threads() + 1)", "changes torch's number of threads"),
    ],
)
def test_what_goes_wrong_in_it_is_told(
    more: dict[str, Any], content: str | None, message: str, file: Path, reference: Reference, near: Features
) -> None:
    if content:
        file.write_text(content)
    threads = torch.get_num_threads()
    with pytest.raises(SynthoodError, match=message):
        custom(file, **more).fit(reference)(near)
    torch.set_num_threads(threads)


IN_PLACE = {
    "x.features": "def fit(r): return lambda x: x.features.abs_().sum(1).neg_() + x.features.sub_(1).sum(1)",
    "x.logits": "def fit(r): return lambda x: x.logits.numpy().sort(1) or x.logits[:, 0]",
    "x.labels": "def fit(r): return lambda x: x.labels.data.zero_().float()",
    "reference.train.features": "def fit(r):\n r.train.features.sub_(1)\n return lambda x: x.logits[:, 0]",
    "reference.val.logits": "def fit(r):\n r.val.logits.numpy()[3, 1] = 0\n return lambda x: x.logits[:, 0]",
    "reference.val.labels": "def fit(r):\n r.val.labels[1:] = r.val.labels[0]\n return lambda x: x.logits[:, 0]",
    "reference.weight and reference.bias": (
        "def fit(r):\n r.weight.data += 1\n r.bias.copy_(r.bias.flip(0))\n return lambda x: x.logits[:, 0]"
    ),
}


@pytest.mark.parametrize("changed", IN_PLACE)
def test_inputs_changed_in_place_are_named(changed: str, file: Path, near: Features) -> None:
    """By torch or through numpy, where values move and where they only change places."""
    file.write_text(IN_PLACE[changed])
    validation = Validation(toy_reference())
    x = Features(near.logits.clone(), near.features.clone(), near.labels.clone())
    message = rf"^detectors\.mine: {file}: fit: changes {re.escape(changed)} in place, which all detectors read"
    with pytest.raises(SynthoodError, match=message):
        scoring.together(fitted({"mine": custom(file), "msp": Msp()}, validation)[0], x)


LATER = """
held = []
def fit(r):
    def score(x):
        for one in [*held, r.{part}]:
            one.features.numpy()[0] += 1
        held.append(x)
        return x.logits[:, 0]
    return score
"""


def test_earlier_samples_changed_later_are_noticed(
    file: Path, reference: Reference, near: Features, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synthood.evaluation.moments.ROWS", 50)
    file.write_text(LATER.replace(", r.{part}", ""))
    x = Features(near.logits, near.features.clone(), near.labels)
    with pytest.raises(SynthoodError, match=r"mine.py: fit: changes x\.features in place"):
        custom(file).fit(reference)(x)


@pytest.mark.parametrize("kept", [1 << 28, 0])
def test_a_bank_changed_after_the_fit_stops_the_job(
    kept: int, file: Path, tmp_path: Path, near: Features, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In memory, and mapped from its file."""
    monkeypatch.setattr(features, "IN_MEMORY_BYTES", kept)
    file.write_text(LATER.format(part="train"))
    toy = toy_reference()
    (folder := tmp_path / "features").mkdir()
    for name, x in {"train": toy.train, "val": toy.val, "test": near, "near": near}.items():
        write_part(folder, name, x)
    write_head(folder, toy.weight, toy.bias)
    settings = ScoreSettings(detectors={"mine": custom(file), "k": Knn(k=5)}, near=["near"], far=["near"])
    opened = FeatureFolder(folder)
    scores, _ = fitted_on(opened, settings)
    with pytest.raises(SynthoodError, match=r"detectors\.mine: .*mine\.py: fit: changes reference\.train\.features in"):
        confidences(opened, settings, scores)
    assert torch.equal(FeatureFolder(folder).part("train").features, toy.train.features)


def test_what_it_sets_on_its_inputs_is_set_nowhere_else(file: Path, near: Features) -> None:
    """Flags, and what detectors share through the reference, are the function's own."""
    toy = toy_reference()
    expected = Mds().fit(toy_reference())(near)
    file.write_text(
        "def fit(r):\n r.train.features.requires_grad_()\n r.moments.means.zero_()\n r.train.outputs['a'] = 1\n"
        " return lambda x: x.features.requires_grad_().sum(1)"
    )
    found = custom(file).fit(toy)(near)
    torch.testing.assert_close(found, near.features.sum(1))
    assert not toy.train.features.requires_grad
    assert not near.features.requires_grad
    assert toy.train.outputs == {}
    assert torch.equal(Mds().fit(toy)(near), expected)


@pytest.mark.parametrize(
    "body",
    [
        "lambda x: x.features.numpy().sum(1, dtype='f8')",
        "lambda x, out=torch.empty(400): torch.sum(x.features, 1, out=out[: len(x)])",
    ],
)
def test_numpy_arrays_and_buffers_used_again_are_taken(
    body: str, file: Path, reference: Reference, near: Features, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synthood.evaluation.moments.ROWS", 150)
    file.write_text(f"import torch\ndef fit(r): return {body}")
    torch.testing.assert_close(custom(file).fit(reference)(near), near.features.sum(1))


def test_a_missing_file_is_named(tmp_path: Path, reference: Reference) -> None:
    with pytest.raises(SynthoodError, match=r"elsewhere\.py: not found; such paths start where snakemake runs"):
        custom(tmp_path / "elsewhere.py").fit(reference)


def planned(demo: dict[str, Any], file: Path) -> str:
    demo["detectors"]["mine"] = {"kind": "custom", "file": str(file), "values": {"power": [1, 2.5]}}
    return as_parameter(Plan(load(demo)).score_settings)(SimpleNamespace(dataset="digits", recipe="ce"))


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
