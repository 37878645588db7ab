"""Files of images in the scores: from the image sets through `extract` to the detectors of features and ensembles."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from command_lines import writing
from synthood.common.identity import FORMAT, seal
from synthood.common.images import ImageSet, write_images
from synthood.common.names import Names
from synthood.evaluation import extract, score, score_ensemble
from synthood.evaluation.detectors.ensemble import Ensemble
from synthood.evaluation.detectors.logits import Msp
from synthood.evaluation.settings import FACTS, ScoreSettings
from synthood.reporting.runs import read_runs
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.residual import Network
from synthood.training.networks.model import Classifier

PATHS = ["a b.png", 'x"<b>,\n.png', "ü/日本.png", "\\xff.png"]
OUTPUTS = ("scores.parquet", "metrics.csv", "search.csv")


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[Path]]:
    """What two scoring stages write for a model on three parts, of which `test` and `away` come from files."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    monkeypatch.setenv("SYNTHOOD_CODE", "x")
    network = Network(name="resnet8", width=8)
    model = tmp_path / "model.safetensors"
    Classifier(network, ["a", "b"], [0.5] * 3, [0.25] * 3, build(network, 2, seed=1).eval()).save(model)
    draw = np.random.default_rng(0)
    files = {}
    for part in ("train", "val", "test", "close", "away"):
        pixels = draw.integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
        labels = np.arange(4) % 2 if part in ("train", "val", "test") else np.full(4, -1)
        one = ImageSet(pixels, labels, ["a", "b"], names=Names.of(PATHS) if part in ("test", "away") else None)
        files[part] = tmp_path / f"{part}.safetensors"
        write_images(files[part], one)
    features = tmp_path / "features"
    extract.main(["--model", str(model), "--output", str(features), "--images", *map(str, files.values())])
    found = []
    for stage, detectors in ((score, {"msp": Msp()}), (score_ensemble, {"mean": Ensemble()})):
        settings = ScoreSettings(detectors=detectors, near=["close"], far=["away"]).canonical()
        for _ in range(2):
            written = [tmp_path / stage.__name__ / name for name in OUTPUTS]
            stage.main(["--settings", settings, "--features", str(features), *writing(stage.main, written)])
        found.append(written)
    return found


def test_every_sample_has_its_file(outputs: list[list[Path]]) -> None:
    """The scores of the first stage are kept ones, since it ran twice."""
    for (table, metrics, _), detector in zip(outputs, ("msp", "mean"), strict=True):
        scores = pd.read_parquet(table)
        assert list(scores) == [*FACTS, detector]
        assert scores["path"].tolist() == [*PATHS, "", "", "", "", *PATHS]
        assert scores["index"].tolist() == [0, 1, 2, 3] * 3
        assert set(pd.read_csv(metrics)["detector"].dropna()) == {detector}


def test_scores_side_by_side_have_the_files_once(outputs: list[list[Path]]) -> None:
    """Also beside scores of an earlier version, which name none."""
    (first, *_), (second, *_) = outputs
    run = ("d", "r", 0)
    expected = [*FACTS, "msp", "mean"]
    assert list(read_runs([run], [first], [second], {"r": ["msp", "mean"]})[run]) == expected
    old = first.with_name("old.parquet")
    pd.read_parquet(first).drop(columns="path").to_parquet(old)
    seal(old, old, {"format": FORMAT})
    found = read_runs([run], [old], [second], {"r": ["msp", "mean"]})[run]
    assert list(found) == [name for name in expected if name != "path"]
