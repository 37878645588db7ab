"""Heads, ensembles and detectors of the model as an exported folder: bit for bit the scores before the export."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import synthood
from synthood.common.images import ImageSet, write_images
from synthood.common.tensors import write_tensors
from synthood.deploy.export import cross_calibrated, export, split_calibrated
from synthood.deploy.export_detector import main
from synthood.deploy.extras import Extras, plain, read_heads, through
from synthood.deploy.inputs import Preprocessing
from synthood.deploy.predictor import confidences_of
from synthood.errors import SynthoodError
from synthood.evaluation.detectors.base import Detector
from synthood.evaluation.detectors.ensemble import Ensemble
from synthood.evaluation.detectors.logits import Energy
from synthood.evaluation.detectors.neighbours import Knn
from synthood.evaluation.detectors.of_model.base import ModelDetector
from synthood.evaluation.detectors.rectifiers import React
from synthood.evaluation.feature_files import FeatureFolder, write_head, write_part
from synthood.evaluation.features import Features, Reference
from synthood.evaluation.model_search import ImageValidation, fitted
from synthood.evaluation.score_ensemble import confidences
from synthood.evaluation.settings import ScoreSettings
from synthood.plugins import plugins
from synthood.training.method_settings import METHODS, ExtractSettings, Methods
from synthood.training.methods.term import Context
from synthood.training.networks.architectures.base import build
from synthood.training.networks.model import Classifier
from synthood.training.terms.build import learned, terms_of
from toy_models import CLASSES, NETWORK, OF_MODEL, classifier, pictures, probe_of

CPU = torch.device("cpu")
SIZE = Preprocessing(16, 16)
HEADED = {
    kind: one
    for kind, one in plugins(Detector, "synthood.evaluation.detectors").items()
    if "outputs" in one.inputs and one.reads
}


def reference_of(extras: Extras, model: Classifier) -> Reference:
    parts = []
    for count, seed in ((60, 0), (40, 1)):
        images = pictures(count, seed)
        found = extras.features(model, images.images, CPU)
        parts.append(replace(found, labels=torch.from_numpy(images.labels)))
    head = model.network.head
    return Reference(*parts, head.weight.detach(), head.bias.detach())


@pytest.mark.parametrize("kind", HEADED)
def test_trained_heads_go_along(kind: str, tmp_path: Path) -> None:
    model = classifier()
    method = next(one for kinds in METHODS.values() for one in kinds if one.head == HEADED[kind].reads)
    needed = {"from": "extra"} if method.model_fields["kind"].default == "discrepancy" else {}
    given = {"kind": method.model_fields["kind"].default, **needed}
    methods = ExtractSettings(heads=Methods(**{method.key: method.model_validate(given)}))
    width = model.network.head.in_features
    terms = terms_of(methods.heads.methods, Context(width, len(CLASSES)), seed=4)
    heads = tmp_path / "heads.safetensors"
    write_tensors(heads, {key: value.contiguous().numpy() for key, value in learned(terms).items()}, {})
    extras = read_heads(heads, methods, model)
    detector = HEADED[kind].model_validate({"kind": kind, **({"k": 5} if kind == "cider" else {})})
    reference = reference_of(extras, model)
    score = detector.fit(reference)
    images = pictures(70, 2).images
    features = extras.features(model, images, CPU)
    calibrated = split_calibrated(score, features)
    export(tmp_path / "out", model, calibrated, SIZE, (0.1,), extras=extras)
    table = synthood.load(tmp_path / "out").predict(images)
    assert (table["confidence"].to_numpy() == confidences_of([score], features)[0]).all()
    assert len(set(table["confidence"])) > 10
    assert (tmp_path / "out" / "heads.safetensors").exists()
    with pytest.raises(SynthoodError, match="pass it in `extras`"):
        export(tmp_path / "none", model, calibrated, SIZE, (0.1,))


@pytest.mark.parametrize("detector", OF_MODEL, ids=lambda one: one.kind)
def test_detectors_of_the_model_go_along(detector: Detector, tmp_path: Path) -> None:
    assert isinstance(detector, ModelDetector)
    model, own = classifier(), pictures(64, 3)
    known = ImageValidation(pictures(60, 0), pictures(40, 1), pictures(30, 2, contrast=4.0))
    found = fitted(probe_of(model), model, {"x": detector}, known)[0]["x"]
    features = through(found, model, own)
    score = detector.restored(found.state)
    calibrated = split_calibrated(score, features)
    export(tmp_path / "out", model, calibrated, SIZE, (0.1,), extras=Extras(detector=found))
    predictor = synthood.load(tmp_path / "out")
    table = predictor.predict(own.images)
    assert (table["confidence"].to_numpy() == features.outputs["confidence"].numpy()).all()
    assert (table["label"] == [CLASSES[k] for k in features.logits.argmax(1)]).all()
    one = predictor.predict(own.images[0])
    assert one["confidence"][0] == pytest.approx(table["confidence"][0], rel=1e-3)


def seeds(count: int) -> list[Classifier]:
    first = classifier()
    others = []
    for seed in range(count - 1):
        network = build(NETWORK, len(CLASSES), seed=20 + seed)
        network.load_state_dict({key: value * (1.1 + seed) for key, value in first.network.state_dict().items()})
        others.append(Classifier(NETWORK, CLASSES, [0.4, 0.4, 0.4], [0.2, 0.2, 0.3], network.eval()))
    return [first, *others]


def test_several_models_decide_as_one(tmp_path: Path) -> None:
    first, *others = seeds(3)
    images = pictures(80, 4)
    extras = Extras(classifiers=others)
    features = extras.features(first, images.images, CPU)
    each = [plain(one, images.images, CPU).logits.double().softmax(1) for one in (first, *others)]
    mean = torch.stack(each).mean(0)
    score = Ensemble().fit(reference_of(extras, first))
    export(tmp_path / "out", first, split_calibrated(score, features), SIZE, (0.1,), extras=extras)
    table = synthood.load(tmp_path / "out").predict(images.images)
    assert table["confidence"].to_numpy() == pytest.approx(mean.amax(1).logit().numpy(), abs=1e-6)
    assert table["probability"].to_numpy() == pytest.approx(mean.amax(1).numpy(), abs=1e-6)
    assert table["label"].tolist() == [CLASSES[k] for k in mean.argmax(1)]
    names = [path.name for path in sorted((tmp_path / "out").glob("model*"))]
    assert names == ["model-1.safetensors", "model-2.safetensors", "model.safetensors"]
    assert "mean softmax of 3 models" in (tmp_path / "out" / "README.md").read_text()
    content = bytearray((tmp_path / "out" / "model-2.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "out" / "model-2.safetensors").write_bytes(content)
    with pytest.raises(SynthoodError, match="changed since it was written"):
        synthood.load(tmp_path / "out")


def test_folds_with_different_detectors_are_standardised(tmp_path: Path) -> None:
    model = classifier()
    reference, images = reference_of(Extras(), model), pictures(50, 5).images
    kinds = iter([Energy(), Knn(k=3), Energy(), React(percentile=80.0)])
    calibrated = cross_calibrated(lambda given: next(kinds).fit(given), reference, 4, seed=0)
    for k in range(4):
        own = calibrated.confidences[calibrated.folds == k]
        assert own.mean() == pytest.approx(0, abs=1e-5)
        assert own.std() == pytest.approx(1, abs=1e-5)
    before = export(tmp_path / "out", model, calibrated, SIZE, (0.1,)).predict(images)
    after = synthood.load(tmp_path / "out")
    assert after.predict(images).equals(before)
    facts = json.loads((tmp_path / "out" / "detector.json").read_text())
    assert [fold["detector"]["kind"] for fold in facts["folds"]] == ["energy", "knn", "energy", "react"]
    assert (
        "energy (temperature 1.0), knn (k 3), energy (temperature 1.0), react"
        in (tmp_path / "out" / "README.md").read_text()
    )


PARTS = {"train": 60, "val": 40, "test": 30, "ood_validation": 30, "noise": 20, "calibration": 60}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images, and models with features of two seeds, as the stages before write them."""
    root = tmp_path_factory.mktemp("stages")
    for seed, model in enumerate(seeds(2)):
        model.save(root / f"model{seed}.safetensors")
        folder = root / f"features{seed}"
        folder.mkdir()
        write_head(folder, model.network.head.weight.detach(), model.network.head.bias.detach())
        for number, (part, count) in enumerate(PARTS.items()):
            images = pictures(count, number, 4.0 if part in ("ood_validation", "noise") else 1.0)
            known = part not in ("ood_validation", "noise")
            found = ImageSet(images.images, images.labels, CLASSES)
            made = found if known else ImageSet.out_of_distribution(images.images)
            write_images(root / f"{part}.safetensors", made)
            features = plain(model, images.images, CPU)
            write_part(folder, part, Features(features.logits, features.features, torch.from_numpy(made.labels)))
    return root


def run(place: Path, output: Path, detectors: dict[str, Any], seeds: list[int], promise: dict[str, Any]) -> None:
    settings = {
        "promise": {"reject_id": [0.1], **promise},
        "recipes": ["ce"],
        "detectors": [detectors],
        "heads": [{}],
        "seeds": seeds,
        "dataset": "toy",
        "ood": ["noise"],
        "left_out": ["mine: its code lies outside"],
    }
    command = ["--settings", json.dumps(settings), "--output", str(output)]
    command += ["--models", *(str(place / f"model{seed}.safetensors") for seed in seeds)]
    command += ["--features", *(str(place / f"features{seed}") for seed in seeds)]
    main([*command, "--images", *(str(place / f"{part}.safetensors") for part in PARTS)])


def test_the_stage_exports_an_ensemble(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(place, tmp_path / "out", {"many": {"kind": "ensemble"}}, [0, 1], {})
    assert "note: mine: its code lies outside; it is no candidate" in capsys.readouterr().out
    predictor = synthood.load(tmp_path / "out")
    folders = [FeatureFolder(place / f"features{seed}") for seed in (0, 1)]
    table = confidences(folders, ScoreSettings(detectors={"many": Ensemble()}, near=[], far=["noise"]))
    own = predictor.predict(pictures(30, 2).images)["confidence"].to_numpy()
    assert own == pytest.approx(table[table["part"] == "test"]["many"].to_numpy(), abs=1e-6)
    assert predictor.facts["from"]["seeds"] == "0, 1"
    assert len(predictor.calibration) == 60


def test_the_stage_exports_a_detector_of_the_model_with_its_best_values(place: Path, tmp_path: Path) -> None:
    detector = {"kind": "odin", "temperature": [1.0, 1000.0], "noise": 0.0014}
    run(place, tmp_path / "out", {"odin": detector}, [0], {})
    predictor = synthood.load(tmp_path / "out")
    values = predictor.facts["detector"]
    assert values["temperature"] in (1.0, 1000.0)
    model = Classifier.load(place / "model0.safetensors")
    known = ImageValidation(pictures(60, 0), pictures(40, 1), pictures(30, 3, 4.0))
    kind = plugins(Detector, "synthood.evaluation.detectors")["odin"]
    chosen = kind.model_validate(detector)
    assert isinstance(chosen, ModelDetector)
    found = fitted(probe_of(model), model, {"odin": chosen}, known)[0]["odin"]
    assert found.values == {"temperature": values["temperature"], "noise": values["noise"]}
    own = through(found, model, pictures(60, 5)).outputs["confidence"].numpy()
    assert (predictor.calibration.confidences == own).all()


def test_with_folds_everything_is_chosen_anew_in_each(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    detectors = {"knn": {"kind": "knn", "k": [1, 5, 40]}, "energy": {"kind": "energy"}}
    run(place, tmp_path / "out", detectors, [0], {"calibration": "cross", "folds": 4})
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("without fold")]
    assert len(lines) == 4
    predictor = synthood.load(tmp_path / "out")
    assert len(predictor.calibration) == 40
    assert predictor.calibration.fold_count == 4
    assert "fitted and chosen without its fold" in predictor.calibration.guarantee


def test_a_folder_without_calibration_images_is_refused(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(PARTS, "calibration")
    with pytest.raises(SystemExit):
        run(place, tmp_path / "out", {"msp": {"kind": "msp"}}, [0], {})
    assert "no part calibration among the images; give the dataset a key `calibration`" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
