"""The table of confidences and its metrics."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import roc_auc_score

from synthood.errors import SynthoodError
from synthood.evaluation.detectors.logits import Energy, Msp
from synthood.evaluation.detectors.neighbours import Knn
from synthood.evaluation.detectors.rectifiers import Ash, Scale
from synthood.evaluation.feature_files import FeatureFolder, write_head, write_part
from synthood.evaluation.features import Features
from synthood.evaluation.metrics.classification import Ece
from synthood.evaluation.ranking import OOD_METRICS, aurc
from synthood.evaluation.score import assumptions, confidences, fitted_on
from synthood.evaluation.settings import FACTS, ScoreSettings
from synthood.evaluation.summary import metrics

SETTINGS = ScoreSettings(
    detectors={"soft": Msp(), "hot": Energy(temperature=2.0), "three": Knn(k=3)},
    near=["close", "closer"],
    far=["away"],
)
SIZES = {"train": 20, "val": 5, "test": 12, "close": 7, "closer": 9, "away": 4}
WEIGHT, BIAS = torch.eye(2, 3), torch.tensor([0.5, 0.0])


def scored(folder: Path, settings: ScoreSettings) -> pd.DataFrame:
    opened = FeatureFolder(folder)
    return confidences(opened, settings, fitted_on(opened, settings)[0])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = torch.Generator().manual_seed(0)
    for name, count in SIZES.items():
        x = torch.rand((count, 3), generator=random) + (name == "away")
        labels = torch.arange(count) % 2 if name in ("train", "val", "test") else torch.full((count,), -1)
        write_part(tmp_path, name, Features(F.linear(x, WEIGHT, BIAS), x, labels))
    write_head(tmp_path, WEIGHT, BIAS)
    return tmp_path


def test_a_row_per_test_and_ood_sample(folder: Path) -> None:
    scores = scored(folder, SETTINGS)
    assert list(scores) == ["part", "index", "path", "label", "prediction", "probability", "soft", "hot", "three"]
    assert list(dict.fromkeys(scores["part"])) == ["test", "close", "closer", "away"]
    for name, rows in scores.groupby("part"):
        part = FeatureFolder(folder).part(str(name))
        assert rows["index"].tolist() == list(range(SIZES[str(name)]))
        assert rows["label"].tolist() == part.labels.tolist()
        assert rows["prediction"].tolist() == part.logits.argmax(1).tolist()
        assert rows["probability"].to_numpy() == pytest.approx(part.logits.softmax(1).amax(1).numpy())
        assert rows["soft"].to_numpy() == pytest.approx(part.logits.softmax(1).amax(1).logit().numpy(), rel=1e-5)
        assert rows["hot"].to_numpy() == pytest.approx(2 * (part.logits / 2).logsumexp(1).numpy())
    assert {str(scores[name].dtype) for name in SETTINGS.detectors} == {"float32"}


def test_metrics_of_sets_and_roles(folder: Path) -> None:
    scores = scored(folder, SETTINGS)
    table = metrics(scores, SETTINGS)
    value = table.set_index(["detector", "set", "metric"])["value"]
    assert len(table) == 2 + 3 * (1 + 5 * len(OOD_METRICS))
    test = scores[scores["part"] == "test"]
    right = (test["label"] == test["prediction"]).to_numpy()
    assert value["", "test", "id_accuracy"] == pytest.approx(right.mean())
    assert value["", "test", "ece"] == pytest.approx(Ece().of(test, np.ones((1, len(test)), np.int16))[0])
    for detector in SETTINGS.detectors:
        assert value[detector, "test", "aurc"] == pytest.approx(aurc(test[detector].to_numpy(), right))
    for detector in SETTINGS.detectors:
        confidence = {name: scores.loc[scores["part"] == name, detector] for name in SIZES}
        for part in ("close", "closer", "away"):
            pair = np.concatenate([confidence["test"], confidence[part]])
            area = roc_auc_score([1] * SIZES["test"] + [0] * SIZES[part], pair)
            assert value[detector, part, "auroc"] == pytest.approx(area, abs=1e-9)
        for name in (metric.key for metric in OOD_METRICS):
            both = (value[detector, "close", name] + value[detector, "closer", name]) / 2
            assert value[detector, "near", name] == pytest.approx(both, abs=1e-12)
            assert value[detector, "far", name] == value[detector, "away", name]


@pytest.mark.parametrize(("role", "sets"), [("near", ["close", "closer"]), ("far", ["away"])])
def test_metrics_of_one_role_alone(folder: Path, role: str, sets: list[str]) -> None:
    scores = scored(folder, SETTINGS)
    whole = metrics(scores, SETTINGS).set_index(["detector", "set", "metric"])["value"]
    settings = SETTINGS.model_copy(update={"near": [], "far": [], role: sets})
    alone = metrics(scored(folder, settings), settings).set_index(["detector", "set", "metric"])["value"]
    assert set(alone.index.get_level_values("set")) == {"test", role, *sets}
    pd.testing.assert_series_equal(alone, whole[alone.index])


@pytest.mark.parametrize("name", FACTS)
def test_a_detector_must_not_bear_the_name_of_a_column(folder: Path, name: str) -> None:
    settings = SETTINGS.model_copy(update={"detectors": {name: Msp()}})
    with pytest.raises(SynthoodError, match=rf"detectors\.{name}: a column of the scores has this name"):
        scored(folder, settings)


@pytest.mark.parametrize("part", ["train", "val", "test", "away"])
def test_features_that_are_not_numbers_are_named_by_file(folder: Path, part: str) -> None:
    count = SIZES[part]
    broken = torch.full((count, 3), torch.nan)
    write_part(folder, part, Features(torch.zeros(count, 2), broken, torch.zeros(count, dtype=torch.int64)))
    with pytest.raises(SynthoodError, match=rf"{part}\.safetensors: logits or features are not finite"):
        scored(folder, SETTINGS)


def test_scores_that_are_not_finite_name_the_detector(folder: Path) -> None:
    """Finite logits whose energy overflows float32."""
    count = SIZES["away"]
    logits = torch.full((count, 2), 3e38)
    write_part(folder, "away", Features(logits, torch.ones(count, 3), torch.zeros(count, dtype=torch.int64)))
    hot = ScoreSettings(detectors={"cold": Energy(temperature=0.5)}, near=["close"], far=["away"])
    with pytest.raises(SynthoodError, match="detector cold gives a score on away that is not finite"):
        scored(folder, hot)


def test_shifted_sets_have_scores_and_an_accuracy_of_their_own(folder: Path) -> None:
    write_part(
        folder, "dusk", Features(torch.tensor([[2.0, 1], [2, 1], [1, 2]]), torch.ones(3, 3), torch.tensor([0, 1, 1]))
    )
    settings = SETTINGS.model_copy(update={"shifted": ["dusk"]})
    scores = scored(folder, settings)
    table = metrics(scores, settings).set_index(["detector", "set", "metric"])["value"]
    assert (scores["part"] == "dusk").sum() == 3
    assert table["", "dusk", "id_accuracy"] == pytest.approx(2 / 3)
    plain = metrics(scored(folder, SETTINGS), SETTINGS).set_index(["detector", "set", "metric"])["value"]
    assert table.drop([("", "dusk", "id_accuracy")]).to_dict() == plain.to_dict()


def test_what_a_detector_assumes_of_features_is_noted(folder: Path) -> None:
    """Of the training features that are below zero, a share; nothing where none is, or no detector assumes it."""
    opened, asked = FeatureFolder(folder), {"soft": Msp(), "scale": Scale(), "short": Ash()}
    assert list(assumptions(opened, asked)) == []
    train = opened.part("train")
    below = Features(train.logits, train.features - 0.5, train.labels)
    write_part(folder, "train", below)
    share = 100 * float((below.features < 0).double().mean())
    (line,) = assumptions(FeatureFolder(folder), asked)
    assert line == (
        "note: scale, short: meant for features that are never below zero, as those of a ReLU; "
        f"{share:.1f} % of the training features are; scored by the formula as it is"
    )
    assert list(assumptions(FeatureFolder(folder), {"soft": Msp()})) == []
