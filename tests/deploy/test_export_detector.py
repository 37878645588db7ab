"""Stage `export_detector`: which images calibrate, which candidate is chosen, and what the job writes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import synthood
from checkouts import PROJECT
from synthood.common.images import ImageSet, pixel_sha256, write_images
from synthood.config.load import load
from synthood.deploy import conformal
from synthood.deploy.export_detector import divided, main
from synthood.deploy.predictor import features_of
from synthood.deploy.settings import Promise
from synthood.errors import SynthoodError
from synthood.evaluation.feature_files import write_head, write_part
from synthood.workflow.plan import Plan
from toy_models import CLASSES, classifier, pictures

PARTS = {"train": 90, "val": 200, "test": 60, "ood_validation": 40, "noise": 30}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images, model and features of a dataset, as the stages before write them."""
    root, model = tmp_path_factory.mktemp("stages"), classifier()
    model.save(root / "model.safetensors")
    (root / "features").mkdir()
    head = model.network.head
    write_head(root / "features", head.weight.detach(), head.bias.detach())
    for seed, (part, count) in enumerate(PARTS.items()):
        if part in ("ood_validation", "noise"):
            images = np.random.default_rng(seed).integers(0, 256, (count, 16, 16, 3), np.uint8)
            found = ImageSet.out_of_distribution(images)
        else:
            made = pictures(count, seed)
            found = ImageSet(np.asarray(made.images), made.labels, CLASSES)
        write_images(root / f"{part}.safetensors", found)
        features = features_of(model, found.images, CPU)
        write_part(root / "features", part, replace(features, labels=torch.from_numpy(found.labels)))
    return root


def run(place: Path, output: Path, promise: dict[str, Any], detectors: dict[str, Any]) -> None:
    settings = {
        "promise": promise,
        "recipes": ["ce"],
        "detectors": [detectors],
        "dataset": "toy",
        "ood": ["noise"],
    }
    command = ["--settings", json.dumps(settings), "--models", str(place / "model.safetensors")]
    command += ["--features", str(place / "features"), "--output", str(output)]
    main([*command, "--images", *(str(place / f"{part}.safetensors") for part in PARTS)])


def test_the_best_candidate_by_validation_data_is_calibrated_by_images_apart(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    detectors = {"msp": {"kind": "msp"}, "knn": {"kind": "knn", "k": [3, 9]}, "knn-999": {"kind": "knn", "k": 999}}
    run(place, tmp_path / "detector", {"images": 120}, detectors)
    text = capsys.readouterr().out
    assert "ce, msp: validation AUROC" in text
    assert "knn-999 is no candidate" in text
    assert "warning: reject_id 0.01: with 120 calibration images" in text
    predictor = synthood.load(tmp_path / "detector")
    assert predictor.facts["detector"]["kind"] == "knn"
    assert predictor.facts["detector"]["k"] in (3, 9)
    own = predictor.facts["calibration_sha256"]
    assert len(own) == len(predictor.calibration) == 120
    val = [row.tobytes().hex() for row in pixel_sha256(np.asarray(pictures(200, 1).images))]
    assert set(own) < set(val)
    measured = predictor.facts["measured"]
    test = predictor.predict(np.asarray(pictures(60, 2).images))
    assert measured["false_alarms"][1]["rejected"] == (test["p_value"] <= 0.05).sum()
    assert measured["ood"]["noise"]["count"] == 30
    assert predictor.facts["from"]["recipe"] == "ce"
    again = tmp_path / "again"
    run(place, again, {"images": 120}, detectors)
    for path in (tmp_path / "detector").iterdir():
        if path.name != "identity.json":
            assert (again / path.name).read_bytes() == path.read_bytes(), path.name


def test_cross_calibration_takes_all_validation_images(place: Path, tmp_path: Path) -> None:
    run(place, tmp_path / "detector", {"calibration": "cross"}, {"react": {"kind": "react", "percentile": 80.0}})
    predictor = synthood.load(tmp_path / "detector")
    assert len(predictor.calibration) == 200
    assert predictor.calibration.fold_count == 5
    assert "guarantee is weaker" in (tmp_path / "detector" / "README.md").read_text()


def test_images_of_another_part_calibrate_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    val = pixel_sha256(np.random.default_rng(0).integers(0, 256, (50, 2, 2, 3), np.uint8))
    parts = divided(val, {"train": val[:7], "test": val[5:9]}, Promise(images=20))
    assert len(parts.calibration) == 20
    assert parts.calibration.min() >= 9
    assert sorted([*parts.calibration, *parts.rest]) == list(range(50))
    assert "9 of 50 validation images stand in another part" in capsys.readouterr().out
    crossed = divided(val, {"train": val[:7]}, Promise(calibration="cross"))
    assert crossed.calibration.tolist() == list(range(7, 50))
    assert crossed.rest.tolist() == list(range(50))
    with pytest.raises(SynthoodError, match=r"deploy\.images: 41 calibration images of 41"):
        divided(val, {"train": val[:9]}, Promise(images=41))


def test_too_few_images_end_in_one_sentence(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(place, tmp_path / "detector", {"images": 10, "reject_id": [0.05]}, {"msp": {"kind": "msp"}})
    least = conformal.least_count(0.05)
    assert f"reject_id 0.05: 10 calibration images cannot support it, {least} are" in capsys.readouterr().err
    assert list(tmp_path.glob("[!.]*")) == []


@pytest.fixture
def raw() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((PROJECT / "tests" / "config.yaml").read_text())
    return found | {"deploy": {"dataset": "digits", "recipes": ["ce", "sio-biggan"], "seed": 0}}


def test_the_plan_names_candidates_and_files(raw: dict[str, Any]) -> None:
    plan = Plan(load(raw))
    settings = plan.export_settings(None)  # type: ignore[arg-type]
    assert settings.recipes == ["ce", "sio-biggan"]
    assert all(settings.detectors)
    assert all(d.access == "features" and d.kind != "custom" for one in settings.detectors for d in one.values())
    assert plan.deployed() == ["results/digits/deploy/detector"]
    models = plan.deploy_models(None)  # type: ignore[arg-type]
    assert models[1] == "results/digits/models/sio-biggan/seed0/model.safetensors"
    raw.pop("deploy")
    assert Plan(load(raw)).deployed() == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"detector": "kn"}, r"deploy\.detector: no detector is named 'kn'"),
        ({"recipes": ["cee"]}, r"deploy\.recipes\.0: no recipe is named 'cee'"),
        ({"dataset": "x"}, r"deploy\.dataset: no dataset is named 'x'"),
        ({"reject_id": [5]}, r"deploy\.reject_id\.0"),
        ({"detector": "mine"}, r"deploy\.recipes\.0: the detector 'mine' cannot be exported with 'ce'"),
    ],
)
def test_mistakes_are_found_when_the_configuration_is_read(
    values: dict[str, Any], message: str, raw: dict[str, Any]
) -> None:
    raw["detectors"]["mine"] = {"kind": "odin"}
    raw["deploy"] |= values
    with pytest.raises(SynthoodError, match=message):
        load(raw)
