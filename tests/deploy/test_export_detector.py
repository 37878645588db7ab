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
from synthood.deploy.export_detector import free_places, main
from synthood.deploy.predictor import features_of
from synthood.errors import SynthoodError
from synthood.evaluation.feature_files import write_head, write_part
from synthood.workflow.plan import Plan
from toy_models import CLASSES, classifier, pictures

PARTS = {"train": 90, "val": 80, "test": 60, "ood_validation": 40, "noise": 30, "calibration": 120}
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
        "heads": [{}],
        "seeds": [0],
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
    run(place, tmp_path / "detector", {}, detectors)
    text = capsys.readouterr().out
    assert "ce, msp: validation AUROC" in text
    assert "knn-999 is no candidate" in text
    assert "warning: reject_id 0.01: with 120 calibration images" in text
    predictor = synthood.load(tmp_path / "detector")
    assert predictor.facts["detector"]["kind"] == "knn"
    assert predictor.facts["detector"]["k"] in (3, 9)
    own = predictor.facts["calibration_sha256"]
    assert len(own) == len(predictor.calibration) == 120
    images = np.asarray(pictures(120, 5).images)
    assert own == [row.tobytes().hex() for row in pixel_sha256(images)]
    assert (predictor.calibration.confidences == predictor.predict(images)["confidence"]).all()
    measured = predictor.facts["measured"]
    test = predictor.predict(np.asarray(pictures(60, 2).images))
    assert measured["false_alarms"][1]["rejected"] == (test["p_value"] <= 0.05).sum()
    assert measured["ood"]["noise"]["count"] == 30
    assert predictor.facts["from"]["recipe"] == "ce"
    again = tmp_path / "again"
    run(place, again, {}, detectors)
    for path in (tmp_path / "detector").iterdir():
        if path.name != "identity.json":
            assert (again / path.name).read_bytes() == path.read_bytes(), path.name


def test_cross_calibration_takes_all_validation_images(place: Path, tmp_path: Path) -> None:
    run(place, tmp_path / "detector", {"calibration": "cross"}, {"react": {"kind": "react", "percentile": 80.0}})
    predictor = synthood.load(tmp_path / "detector")
    assert len(predictor.calibration) == 80
    assert predictor.calibration.fold_count == 5
    assert "guarantee is weaker" in (tmp_path / "detector" / "README.md").read_text()


def test_images_of_another_part_calibrate_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    own = pixel_sha256(np.random.default_rng(0).integers(0, 256, (50, 2, 2, 3), np.uint8))
    assert free_places("calibration", {"calibration": own, "train": own[:7], "test": own[5:9]}).tolist() == [
        *range(9, 50)
    ]
    assert "9 of 50 calibration images stand in another part" in capsys.readouterr().out
    with pytest.raises(SynthoodError, match="val: all 50 images stand in another part"):
        free_places("val", {"val": own, "train": own})


def test_too_few_images_end_in_one_sentence(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(place, tmp_path / "detector", {"reject_id": [0.001]}, {"msp": {"kind": "msp"}})
    least = conformal.least_count(0.001)
    assert f"reject_id 0.001: 120 calibration images cannot support it, {least} are" in capsys.readouterr().err
    assert list(tmp_path.glob("[!.]*")) == []


@pytest.fixture
def raw() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((PROJECT / "tests" / "config.yaml").read_text())
    found["datasets"]["digits"]["calibration"] = 0.5
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
        ({"detector": "mine"}, r"deploy\.recipes\.0: no detector can be exported with 'ce' \(mine: its code lies"),
        ({"detector": "vos"}, r"'ce' \(vos: it reads what `virtual_outliers` trains\)"),
        ({"detector": "many"}, r"'ce' \(many: it needs several models; name their `seeds`\)"),
        ({"seeds": [0, 1]}, r"'ce' \(msp: it looks at one model; with `seeds` take a detector of kind ensemble"),
        ({"seeds": [1, 1]}, r"seeds: 1 stands twice"),
        ({"seeds": [1]}, r"deploy\.seeds"),
        ({"calibration": "cross"}, r"deploy\.recipes: with `calibration: cross` the choice between recipes would use"),
        (
            {"calibration": "cross", "recipes": ["ce"], "detector": "odin"},
            r"'ce' \(odin: it is not fitted by folds; take `calibration: split`\)",
        ),
    ],
)
def test_mistakes_are_found_when_the_configuration_is_read(
    values: dict[str, Any], message: str, raw: dict[str, Any]
) -> None:
    raw["detectors"] |= {
        "mine": {"kind": "custom", "file": "mine.py"},
        "odin": {"kind": "odin"},
        "vos": {"kind": "vos"},
        "many": {"kind": "ensemble"},
    }
    if values.get("seeds") == [0, 1]:
        raw["detectors"].pop("many")
    raw["deploy"] |= values
    with pytest.raises(SynthoodError, match=message):
        load(raw)


def test_split_needs_calibration_images_and_cross_does_not(raw: dict[str, Any]) -> None:
    raw["datasets"]["digits"].pop("calibration")
    with pytest.raises(SynthoodError, match=r"deploy\.calibration: split needs .* add `calibration: 0\.5` to datasets"):
        load(raw)
    raw["deploy"] |= {"calibration": "cross", "recipes": ["ce"], "detector": "knn"}
    load(raw)


def test_with_folds_nothing_is_chosen_by_images_that_calibrate(raw: dict[str, Any]) -> None:
    raw["deploy"] |= {"calibration": "cross", "recipes": ["ce"]}
    message = r"deploy\.detector: .* datasets\.digits\.ood_validation, which is made of the images that calibrate"
    with pytest.raises(SynthoodError, match=message):
        load(raw)
    raw["detectors"]["grid"] = {"kind": "knn", "k": [1, 5]}
    raw["deploy"]["detector"] = "grid"
    with pytest.raises(SynthoodError, match=message):
        load(raw)
    raw["datasets"]["digits"]["ood_validation"] = {"kind": "noise", "images": 30}
    load(raw)


def test_auto_takes_detectors_of_features_and_says_which_it_leaves_out(raw: dict[str, Any]) -> None:
    raw["detectors"] |= {"odin": {"kind": "odin"}, "mine": {"kind": "custom", "file": "mine.py"}}
    raw["recipes"]["ce-vos"] = {"like": "ce", "virtual_outliers": {"kind": "virtual_outliers"}}
    raw["detectors"] |= {"vos": {"kind": "vos"}}
    raw["deploy"]["recipes"] = ["ce", "ce-vos"]
    settings = Plan(load(raw)).export_settings(None)  # type: ignore[arg-type]
    assert [set(each) for each in settings.detectors] == [{"msp", "knn"}, {"msp", "knn", "vos"}]
    assert [[method.key for method in heads.methods] for heads in settings.heads] == [[], ["virtual_outliers"]]
    assert Plan(load(raw)).deploy_heads(None) == ["results/digits/models/ce-vos/seed0/heads.safetensors"]  # type: ignore[arg-type]
    assert sorted(text.partition(":")[0] for text in settings.left_out) == ["mine", "odin", "vos"]
