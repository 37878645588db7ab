"""`snakemake deploy` after everything else has run: one job, whose folder works anywhere."""

import shutil
from pathlib import Path

import pytest

import synthood
from checkouts import Workflow
from synthood.common.images import read_images

pytestmark = pytest.mark.workflow


DEPLOY = {"dataset": "digits", "recipes": ["ce"], "detector": "knn", "reject_id": [0.1], "calibration": "cross"}


def test_one_job_exports_a_detector_that_works_elsewhere(finished: Workflow, tmp_path: Path) -> None:
    finished = finished.copied(tmp_path / "finished")
    finished.config = finished.config | {"deploy": DEPLOY}
    assert finished.planned("deploy") == {"export a detector of digits"}
    done = finished.run("deploy")
    assert done.returncode == 0, done.stdout
    assert finished.planned() == set()
    results = finished.place / "results" / "digits"
    shutil.copytree(results / "deploy" / "detector", tmp_path / "detector")
    predictor = synthood.load(tmp_path / "detector")
    test = read_images(results / "images" / "test.safetensors")
    table = predictor.predict(test.images)
    (alarms,) = predictor.facts["measured"]["false_alarms"]
    assert alarms["count"] == len(table) == len(test)
    assert alarms["rejected"] == table["is_ood"].sum()
    assert set(predictor.facts["measured"]["ood"]) == {"digits-8", "textures"}
    finished.config = finished.config | {"deploy": finished.config["deploy"] | {"reject_id": [0.2]}}
    assert finished.planned() == {"export a detector of digits"}
