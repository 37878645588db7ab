"""Every fitted detector is saved and loaded without a changed bit, and what is damaged or too new is refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from synthood import detectors
from synthood.deploy import fitted
from synthood.errors import SynthoodError
from synthood.evaluation.detectors.base import Detector, State
from synthood.evaluation.detectors.custom import Custom
from synthood.evaluation.detectors.logits import Msp
from synthood.evaluation.detectors.rectifiers import LOGIT_DETECTORS, React
from synthood.evaluation.features import Bank, Features, Reference
from synthood.evaluation.scoring import Score
from toy_features import EVERY, READING, TEST, name_of, part, toy_reference

OUTPUTS = {"rotation": (TEST, 4), "virtual_outliers": (TEST,), "contrastive": (TEST, 5), "godin": (TEST, 2)}


def with_outputs(x: Features, seed: int) -> Features:
    """What recipes' heads would give: random numbers."""
    random = torch.Generator().manual_seed(seed)
    shapes = OUTPUTS | {"discrepancy": x.logits.shape}
    return replace(x, outputs={key: torch.randn((len(x), *s[1:]), generator=random) for key, s in shapes.items()})


@pytest.fixture(scope="module")
def reference() -> Reference:
    toy = toy_reference()
    return replace(toy, train=with_outputs(toy.train, 1), val=with_outputs(toy.val, 2))


@pytest.fixture(scope="module")
def near(reference: Reference) -> Features:
    return with_outputs(part(TEST, 5, reference.weight, reference.bias, far=1.0), 3)


@pytest.mark.parametrize("detector", [*EVERY, *READING], ids=name_of)
def test_a_loaded_detector_scores_the_same_bits(
    detector: Detector, reference: Reference, near: Features, tmp_path: Path
) -> None:
    score = detector.fit(reference)
    fitted.save(tmp_path / "saved", score, detector.kind, {"note": "mine"})
    loaded, facts = fitted.load(tmp_path / "saved")
    assert torch.equal(loaded.score(near), score.score(near))
    assert facts["note"] == "mine"
    assert loaded.origin is not None
    assert loaded.origin[0] == detector
    # Nothing of the closure was left out: the state alone gives the score
    assert torch.equal(detector.scorer(detector.state(reference)).score(near), score.score(near))


@pytest.mark.parametrize("score", LOGIT_DETECTORS)
def test_a_rectifier_takes_the_state_of_its_inner_detector_along(
    score: str, reference: Reference, near: Features, tmp_path: Path
) -> None:
    own = React(percentile=80.0, score=score).fit(reference)
    fitted.save(tmp_path / "saved", own, "react", {})
    assert torch.equal(fitted.load(tmp_path / "saved")[0].score(near), own.score(near))


def test_values_and_axes_come_back_as_they_were(tmp_path: Path) -> None:
    matrix = torch.arange(6.0).view(2, 3)
    state: State = {
        "number": torch.tensor(0.1, dtype=torch.float64),
        "matrix": matrix.T,
        "cube": torch.arange(24).view(2, 3, 4).permute(2, 0, 1),
        "flags": torch.tensor([True, False]),
        "bank": Bank(matrix),
    }
    fitted.write_state(tmp_path / "state.safetensors", state)
    found = fitted.read_state(tmp_path / "state.safetensors")
    assert isinstance(found["bank"], Bank)
    assert torch.equal(found.pop("bank").features, matrix)
    for name, value in found.items():
        assert torch.equal(value, state[name])
        assert (value.dtype, value.stride()) == (state[name].dtype, state[name].stride())


@pytest.fixture
def saved(reference: Reference, tmp_path: Path) -> Path:
    fitted.save(tmp_path / "saved", EVERY[0].fit(reference), "ash", {})
    return tmp_path / "saved"


@pytest.mark.parametrize("name", ["state.safetensors", "detector.json", "identity.json"])
def test_a_changed_byte_is_refused(name: str, saved: Path) -> None:
    content = bytearray((saved / name).read_bytes())
    content[-3] ^= 1
    (saved / name).write_bytes(content)
    with pytest.raises(SynthoodError, match=r"changed|damaged|no identity"):
        fitted.load(saved)


def test_a_missing_file_is_refused(saved: Path) -> None:
    (saved / "state.safetensors").unlink()
    with pytest.raises(SynthoodError, match=r"state\.safetensors"):
        fitted.load(saved)


def test_a_newer_format_is_refused_with_its_version(saved: Path) -> None:
    facts = json.loads((saved / "detector.json").read_text()) | {"format": 3, "versions": {"synthood": "9.0"}}
    (saved / "detector.json").write_text(json.dumps(facts))
    with pytest.raises(SynthoodError, match=r"of format 3, written by synthood 9\.0; this version reads up to 2"):
        fitted.load(saved)


@pytest.mark.parametrize(("detector", "refused"), [(Msp(), True), (React(score="gen"), True), (React(), False)])
def test_scores_of_an_earlier_scale_are_refused(
    detector: Detector, refused: bool, tmp_path: Path, reference: Reference
) -> None:
    """Their thresholds would be compared with logs."""
    fitted.save(tmp_path / "saved", detector.fit(reference), "it", {})
    facts = json.loads((tmp_path / "saved" / "detector.json").read_text())
    older = {"format": 1, "folds": [{"detector": facts["detector"]}]}
    for changed in (facts | {"format": 1}, older | {"detector": {"kind": "knn"}}):
        if refused:
            with pytest.raises(SynthoodError, match=r"mine: thresholds and state of its .* are of an earlier version"):
                fitted.check_scale(changed, "mine")
        else:
            fitted.check_scale(changed, "mine")
    fitted.check_scale(facts, "mine")


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SynthoodError, match=r"no detector\.json in it; give a folder that FittedDetector\.save wrote"):
        fitted.load(tmp_path)


def test_nothing_is_overwritten(saved: Path, reference: Reference) -> None:
    with pytest.raises(SynthoodError, match="exists already"):
        fitted.save(saved, EVERY[0].fit(reference), "ash", {})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "knnn"}, "no detector is named 'knnn'"),
        ({"kind": "knn", "k": 0}, "knn: k: Input should be greater than or equal to 1"),
        (None, "no detector is named 'None'"),
    ],
)
def test_settings_of_other_versions(settings: object, message: str) -> None:
    with pytest.raises(SynthoodError, match=f"mine: {message}"):
        fitted.detector_of(settings, "mine")


def test_functions_of_the_user_cannot_be_saved(reference: Reference, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def fit(reference):\n    return lambda x: x.logits.amax(1)\n")
    score = Custom(file=str(tmp_path / "mine.py")).fit(reference)
    with pytest.raises(SynthoodError, match=r"custom: cannot be saved.*`state` and `scorer`"):
        fitted.save(tmp_path / "saved", score, "custom", {})
    with pytest.raises(SynthoodError, match="mine: cannot be saved"):
        fitted.origin_of(Score(lambda x: x.logits.amax(1)), "mine")
    assert not (tmp_path / "saved").exists()


def test_from_python(reference: Reference, near: Features, tmp_path: Path) -> None:
    known = [(x.logits, x.features, x.labels) for x in (reference.train, reference.val, near)]
    head = (reference.weight, reference.bias)
    own = detectors.fit("knn", known[0], known[1], head, ood_validation=known[2], k=[3, 7])
    own.save(tmp_path / "saved")
    loaded = detectors.FittedDetector.load(tmp_path / "saved")
    assert (loaded.name, loaded.head) == (own.name, own.head)
    assert (detectors.score(loaded, *known[2][:2]) == detectors.score(own, *known[2][:2])).all()
    assert loaded.search.to_dict("records") == own.search.to_dict("records")
