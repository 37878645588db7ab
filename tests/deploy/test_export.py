"""From a fitted detector to a folder and back: the same decisions, whole or refused, and a card of what holds."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import synthood
from synthood.common.images import pixel_sha256
from synthood.deploy import conformal
from synthood.deploy.export import cross_calibrated, export, rows, split_calibrated
from synthood.deploy.inputs import Preprocessing
from synthood.deploy.predictor import COLUMNS, TYPES, Predictor, confidences_of, features_of
from synthood.errors import SynthoodError
from synthood.evaluation.detectors.base import Detector
from synthood.evaluation.detectors.logits import Energy, Temperature
from synthood.evaluation.detectors.neighbours import Knn
from synthood.evaluation.detectors.rectifiers import React
from synthood.evaluation.detectors.trained import Vos
from synthood.evaluation.features import Features, Reference
from synthood.training.networks.model import Classifier
from toy_models import CLASSES, classifier, pictures

CPU = torch.device("cpu")
SIZE = Preprocessing(16, 16)


@dataclass
class Toy:
    model: Classifier
    reference: Reference
    calibration: Features
    digests: np.ndarray
    test: tuple[np.ndarray, np.ndarray]
    test_features: Features
    ood: np.ndarray
    ood_features: Features


def labelled(model: Classifier, count: int, seed: int) -> tuple[Features, np.ndarray, np.ndarray]:
    images = pictures(count, seed)
    found = features_of(model, images.images, CPU)
    return Features(found.logits, found.features, torch.from_numpy(images.labels)), images.images, images.labels


@pytest.fixture(scope="module")
def toy() -> Toy:
    model = classifier()
    head = model.network.head
    train, val, calibration, test = (labelled(model, n, seed) for seed, n in enumerate((120, 60, 150, 90)))
    reference = Reference(train[0], val[0], head.weight.detach(), head.bias.detach())
    ood = np.random.default_rng(9).integers(0, 256, (40, 16, 16, 3), np.uint8)
    return Toy(
        model,
        reference,
        calibration[0],
        pixel_sha256(calibration[1]),
        test[1:],
        test[0],
        ood,
        features_of(model, ood, CPU),
    )


def exported(toy: Toy, folder: Path, detector: Detector, levels: tuple[float, ...] = (0.05, 0.1)) -> Predictor:
    calibrated = split_calibrated(detector.fit(toy.reference), toy.calibration)
    return export(
        folder,
        toy.model,
        calibrated,
        SIZE,
        levels,
        test=toy.test_features,
        ood={"noise": toy.ood_features},
        digests=toy.digests,
    )


@pytest.fixture(scope="module")
def folder(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("export") / "detector"
    exported(toy, place, Knn(k=3))
    return place


def test_predictions_are_those_before_the_export(toy: Toy, folder: Path) -> None:
    score = Knn(k=3).fit(toy.reference)
    table = synthood.load(folder).predict(toy.test[0])
    assert list(table) == list(COLUMNS)
    assert {name: str(kind) for name, kind in table.dtypes.items()} == TYPES
    features = features_of(toy.model, toy.test[0], CPU)
    confidences = confidences_of([score], features)[0]
    assert (table["confidence"].to_numpy() == confidences).all()
    assert (table["p_value"] == conformal.p_values(confidences_of([score], toy.calibration)[0], confidences)).all()
    assert (table["is_ood"] == (table["p_value"] <= 0.05)).all()
    assert table["label"].tolist() == [CLASSES[k] for k in features.logits.argmax(1)]
    assert table["probability"].to_numpy() == pytest.approx(features.logits.softmax(1).amax(1).numpy())
    assert (table["error"] == "").all()


def test_thresholds_in_the_file_decide_as_p_values_do(toy: Toy, folder: Path) -> None:
    facts = json.loads((folder / "detector.json").read_text())
    predictor = synthood.load(folder)
    for one in facts["thresholds"]:
        table = predictor.predict(toy.test[0], level=one["level"])
        assert one["group"] == "all classes"
        assert one["count"] == 150
        assert ((table["confidence"] < one["threshold"]) == table["is_ood"]).all()


def test_streams_in_pieces_and_from_files(toy: Toy, folder: Path, tmp_path: Path) -> None:
    predictor = synthood.load(folder)
    whole = predictor.predict(toy.test[0])
    pieces = list(predictor.stream(iter(toy.test[0]), batch=40))
    assert [len(piece) for piece in pieces] == [40, 40, 10]
    columns = ["label", "is_ood"]
    pd.testing.assert_frame_equal(pd.concat(pieces, ignore_index=True)[columns], whole[columns])
    before = torch.get_num_threads()
    by_threads = list(predictor.stream_by_threads(iter(toy.test[0]), threads=2, batch=20))
    assert torch.get_num_threads() == before
    assert [len(piece) for piece in by_threads] == [20, 20, 20, 20, 10]
    pd.testing.assert_frame_equal(pd.concat(by_threads, ignore_index=True), whole, rtol=1e-5)
    for index, image in enumerate(toy.test[0][:5]):
        Image.fromarray(image).save(tmp_path / f"{index} ünicode.png")
    (tmp_path / "bad.png").write_bytes(b"")
    table = predictor.predict(tmp_path).set_index("path")
    bad = table.loc[str(tmp_path / "bad.png")]
    assert bad["error"] == "an empty file"
    assert pd.isna(bad["is_ood"])
    assert np.isnan(bad["p_value"])
    assert table.drop(str(tmp_path / "bad.png"))["label"].tolist() == whole["label"].tolist()[:5]
    assert len(predictor.predict([])) == 0


def test_a_batch_is_judged_together_by_its_false_discoveries(toy: Toy, folder: Path) -> None:
    predictor = synthood.load(folder)
    images = [*toy.test[0][:20], *toy.ood[:20], Path("missing.png")]
    table = predictor.predict(images, fdr=0.2)
    expected = conformal.benjamini_hochberg(table["p_value"][:40], 0.2)
    assert table["is_ood"][:40].tolist() == expected.tolist()
    assert pd.isna(table["is_ood"][40])
    for arguments, message in (
        ({"level": 0.05, "fdr": 0.1}, "give level or fdr"),
        ({"fdr": 10}, "fdr 10: expected a share"),
        ({"level": 0.2}, r"level 0\.2: this detector was exported for 0\.05, 0\.1"),
    ):
        with pytest.raises(SynthoodError, match=message):
            predictor.predict(images, **arguments)


def test_the_card_says_what_is_promised_measured_and_stored(folder: Path) -> None:
    text = (folder / "README.md").read_text()
    facts = json.loads((folder / "detector.json").read_text())
    assert "- Detector: knn (k 3)." in text
    assert "exchangeable" in text
    assert "holds features of training images" in text
    assert facts["holds_training_features"]
    measured = facts["measured"]
    assert measured["count"] == 90
    assert {one["level"] for one in measured["false_alarms"]} == {0.05, 0.1}
    for one in measured["false_alarms"]:
        assert one["promised"] == pytest.approx(
            conformal.Threshold.of(np.arange(150.0), one["level"]).measured_rate(90), abs=1e-12
        )
        assert f"level {100 * one['level']:.3g} %: {100 * one['rate']:.3g} % rejected" in text
    assert f"| noise | 40 | {100 * measured['ood']['noise']['auroc']:.1f} (" in text


def test_without_test_and_ood_images_the_card_says_what_is_unknown(toy: Toy, tmp_path: Path) -> None:
    calibrated = split_calibrated(Energy().fit(toy.reference), toy.calibration)
    export(tmp_path / "none", toy.model, calibrated, SIZE)
    text = (tmp_path / "none" / "README.md").read_text()
    assert "Nothing: accuracy, false alarms and detection of unknown images are unknown." in text
    assert "**Warning:** reject_id 0.01: with 150 calibration images the true rate lies between" in text
    assert "holds features" not in text
    export(tmp_path / "ood", toy.model, calibrated, SIZE, ood={"noise": toy.ood_features})
    assert "| noise | 40 | unknown | unknown | " in (tmp_path / "ood" / "README.md").read_text()
    export(tmp_path / "test", toy.model, calibrated, SIZE, test=toy.test_features)
    assert "No OOD set: how many unknown images are detected is unknown." in (tmp_path / "test/README.md").read_text()


def files(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.iterdir() if path.is_file())


def test_a_changed_byte_anywhere_is_refused(folder: Path, tmp_path: Path) -> None:
    names = [path.name for path in files(folder)]
    cards = ["README.html", "README.md"]
    assert names == [*cards, "detector.json", "identity.json", "model.safetensors", "state-0.safetensors"]
    for name in names:
        content = (folder / name).read_bytes()
        for place in (0, 10, len(content) // 2, len(content) - 1):
            changed = bytearray(content)
            changed[place] ^= 1
            (folder / name).write_bytes(changed)
            with pytest.raises(SynthoodError):
                synthood.load(folder)
        (folder / name).write_bytes(content)
    synthood.load(folder)


def test_cross_calibration_keeps_the_detectors_of_all_folds(toy: Toy, tmp_path: Path) -> None:
    detector = React(percentile=80.0)
    calibrated = cross_calibrated(detector.fit, toy.reference, 5, seed=0)
    for fold in range(5):
        own = np.flatnonzero(calibrated.folds == fold)
        assert len(own) == 12
        rest = Reference(
            toy.reference.train,
            rows(toy.reference.val, np.flatnonzero(calibrated.folds != fold)),
            toy.reference.weight,
            toy.reference.bias,
        )
        expected = confidences_of([detector.fit(rest)], rows(toy.reference.val, own))[0]
        assert (calibrated.confidences[own] == expected).all()
    export(tmp_path / "cross", toy.model, calibrated, SIZE, (0.05, 0.1), test=toy.test_features)
    table = synthood.load(tmp_path / "cross").predict(toy.test[0])
    by_fold = confidences_of(calibrated.scores, features_of(toy.model, toy.test[0], CPU))
    assert (table["p_value"] == conformal.cross_p_values(calibrated.confidences, calibrated.folds, by_fold)).all()
    text = (tmp_path / "cross" / "README.md").read_text()
    assert "guarantee is weaker" in text
    assert len(list((tmp_path / "cross").glob("state-*"))) == 5
    for folds in (1, 61):
        with pytest.raises(SynthoodError, match=f"{folds} folds of 60 validation images"):
            cross_calibrated(detector.fit, toy.reference, folds, seed=0)


def test_what_cannot_be_exported_is_refused_before_anything_is_written(toy: Toy, tmp_path: Path) -> None:
    calibrated = split_calibrated(Temperature().fit(toy.reference), toy.calibration)
    used = {"training": toy.digests[:7]}
    with pytest.raises(SynthoodError, match="7 of 150 images are also among the training images"):
        export(tmp_path / "a", toy.model, calibrated, SIZE, digests=toy.digests, used=used)
    with pytest.raises(SynthoodError, match=r"reject_id 0\.001: 150 calibration images cannot support it, 999 are"):
        export(tmp_path / "a", toy.model, calibrated, SIZE, (0.001,))
    headed = replace(calibrated, scores=[Vos().fit(toy.reference)])
    with pytest.raises(SynthoodError, match="vos reads the head `virtual_outliers`; pass it in `extras`"):
        export(tmp_path / "a", toy.model, headed, SIZE)
    (tmp_path / "a").mkdir()
    with pytest.raises(SynthoodError, match="exists already"):
        export(tmp_path / "a", toy.model, calibrated, SIZE)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert not list((tmp_path / "a").iterdir())


def test_the_package_itself_stays_light() -> None:
    code = "import sys, synthood; print(synthood.load.__name__, *{'torch', 'numpy', 'pandas'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "load\n"
