"""An edit scores again what it concerns: a cache by settings, features, code and threads, the same to the byte."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from command_lines import writing
from synthood.common.artefact import read_provenance
from synthood.evaluation import score
from synthood.evaluation.feature_files import write_head, write_part
from synthood.evaluation.settings import ScoreSettings
from synthood.evaluation.times import TIMES
from toy_features import part, toy_reference

DETECTORS: dict[str, Any] = {
    "soft": {"kind": "msp"},
    "near": {"kind": "knn", "k": [1, 5, 500]},
    "far": {"kind": "mds"},
    "relation": {"kind": "relation"},
}
OUTPUTS = ("scores.parquet", "metrics.csv", "search.csv")


class Run:
    """Score jobs in one folder, and which detectors each of them fitted."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.place, self.fitted = place, set[str]()
        toy = toy_reference()
        (place / "features").mkdir()
        for name, x in (("train", toy.train), ("val", toy.val)):
            write_part(place / "features", name, x)
        self.write("ood_validation", 9, 1.0)
        for seed, name in enumerate(("test", "close", "away")):
            self.write(name, 20 + seed, 0.3 * seed)
        write_head(place / "features", toy.weight, toy.bias)
        inner = score.fitted

        def fitted(detectors: Any, *more: Any) -> Any:
            self.fitted |= set(detectors)
            return inner(detectors, *more)

        monkeypatch.setattr(score, "fitted", fitted)
        monkeypatch.setenv("SYNTHOOD_CODE", "abc")
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        monkeypatch.setenv("OMP_WAIT_POLICY", "passive")

    def write(self, name: str, seed: int, far: float) -> None:
        toy = toy_reference()
        write_part(self.place / "features", name, part(30, seed, toy.weight, toy.bias, far=far))

    def __call__(self, detectors: dict[str, Any] = DETECTORS, to: str = "", **more: Any) -> set[str]:
        """Scores; which detectors were fitted for it."""
        asked = {"detectors": detectors, "near": ["close"], "far": ["away"], **more}
        settings = ScoreSettings.model_validate(asked).canonical()
        outputs = [str(self.place / to / name) for name in OUTPUTS]
        self.fitted.clear()
        score.main(["--settings", settings, "--features", str(self.place / "features"), *writing(score.main, outputs)])
        return set(self.fitted)

    def content(self, place: str = "") -> list[bytes]:
        return [(self.place / place / name).read_bytes() for name in OUTPUTS]

    def cached(self) -> list[str]:
        return sorted(path.name.rsplit("-", 1)[0] for path in (self.place / ".scores").iterdir())


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(tmp_path, monkeypatch)


def test_an_edit_of_one_detector_scores_that_one(run: Run) -> None:
    assert run() == set(DETECTORS)
    edited = DETECTORS | {"near": {"kind": "knn", "k": [2, 5, 500]}}
    assert run(edited) == {"near"}
    run(edited, to="fresh")
    assert run.content() == run.content("fresh")


def test_run_times_are_recorded_next_to_the_scores(run: Run) -> None:
    """Not in the files, whose bytes are the same each time; those of cached scores stay as they were measured."""

    def times() -> dict[str, dict[str, float]]:
        return dict(read_provenance(run.place / "scores.parquet")[TIMES])

    run()
    first = times()
    assert first.keys() == set(DETECTORS)
    assert {one["samples"] for one in first.values()} == {90}  # three sets of 30
    assert all(one["score"] > 0 for one in first.values())
    assert first["near"]["fit"] > 0  # a search
    run(DETECTORS | {"near": {"kind": "knn", "k": [2, 5, 500]}})
    assert {name: one for name, one in times().items() if name != "near"} == {
        name: one for name, one in first.items() if name != "near"
    }
    assert times()["near"] != first["near"]
    run({"soft": DETECTORS["soft"]})
    assert times() == {"soft": first["soft"]}


def test_nothing_to_score_gives_the_same_bytes(run: Run) -> None:
    run()
    before = run.content()
    assert run() == set()
    assert run.content() == before


def test_order_added_and_removed_detectors(run: Run) -> None:
    run()
    assert run(dict(reversed(DETECTORS.items()))) == set()
    run(dict(reversed(DETECTORS.items())), to="fresh")
    assert run.content() == run.content("fresh")
    assert run({"soft": DETECTORS["soft"], "hot": {"kind": "energy"}}) == {"hot"}
    assert run.cached() == ["hot", "soft"]
    assert run() == {"near", "far", "relation"}


@pytest.mark.parametrize("what", ["features", "code", "threads", "parts"])
def test_what_scores_depend_on_scores_all_again(what: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run()
    more: dict[str, Any] = {}
    if what == "features":
        run.write("away", 99, 0.5)
    elif what == "code":
        monkeypatch.setenv("SYNTHOOD_CODE", "abd")
    elif what == "threads":
        monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    else:
        more = {"far": ["close"]}
    assert run(**more) == set(DETECTORS)


def test_the_code_of_a_users_file_counts_for_its_detector(run: Run) -> None:
    (run.place / "mine.py").write_text("def fit(reference):\n    return lambda x: x.features.sum(1)\n")
    file = str(run.place / "mine.py")
    detectors = DETECTORS | {"mine": {"kind": "custom", "file": file}}
    assert run(detectors, code={"detectors.mine": "1"}) == set(detectors)
    assert run(detectors, code={"detectors.mine": "1"}) == set()
    assert run(detectors, code={"detectors.mine": "2"}) == {"mine"}


@pytest.mark.parametrize("damage", [lambda content: content[:-9], lambda content: b"", lambda content: b"x" * 99])
def test_a_damaged_file_is_scored_again_and_mended(damage: Any, run: Run) -> None:
    run()
    before = run.content()
    (path,) = (run.place / ".scores").glob("far-*")
    path.write_bytes(damage(path.read_bytes()))
    assert run() == {"far"}
    assert run.content() == before
    assert run() == set()


def test_outside_the_workflow_nothing_is_kept(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SYNTHOOD_CODE")
    assert run() == run() == set(DETECTORS)
    assert not (run.place / ".scores").exists()


def test_cached_scores_with_a_flipped_bit_are_scored_again(run: Run) -> None:
    run()
    before = run.content()
    for number, file in enumerate(sorted((run.place / ".scores").iterdir())):
        content = bytearray(file.read_bytes())
        content[[-1, 100, 3][number % 3]] ^= 1 << number
        file.write_bytes(content)
    assert run() == set(DETECTORS)
    assert run.content() == before


def test_many_ties_are_a_warning_every_time(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the detector that has them alone, whether its scores are new or from the cache."""
    asked = DETECTORS | {"shares": {"kind": "cfood", "share": 0.01, "fraction": 0.5}}
    for fitted in ({*asked}, set()):
        assert run(asked) == fitted
        (line,) = [one for one in capsys.readouterr().out.splitlines() if one.startswith("warning: ")]
        assert re.fullmatch(
            r"warning: shares gives 30 ID test images \d+ distinct confidences: \d+\.\d % of pairs tie, "
            r"and AUROC counts ties half",
            line,
        )
