"""The stage: model, history and heads from files."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from command_lines import writing
from synthood.common.images import ImageSet, write_images
from synthood.common.iterate import ResumeFile
from synthood.common.tensors import read_tensors, write_tensors
from synthood.training import train as stage
from synthood.training.fit import train
from synthood.training.methods.exposure import UniformExposure
from synthood.training.methods.outliers import OutlierTerms
from synthood.training.methods.teacher import Teacher
from synthood.training.networks.model import Classifier
from synthood.training.outlier_set import OutlierSet

NAMES = ["model.safetensors", "history.csv", "heads.safetensors"]
OUTLIERS = ("embeddings", "boundary", "latents", "gate")


@pytest.fixture
def sets(make_images: Any) -> dict[str, ImageSet]:
    return {"train": make_images(20, 0), "val": make_images(9, 1)}


@pytest.fixture
def files(sets: dict[str, ImageSet], make_settings: Any, make_outliers: Any, tmp_path: Path) -> dict[str, list[Path]]:
    """What the stage reads: image sets, a teacher, and four files of outliers of which the gate kept some."""
    found = {name: [tmp_path / name] for name in ("train", "val", "teacher")}
    for name, images in sets.items():
        write_images(found[name][0], images)
    nothing = ResumeFile(None, "")
    taught, _, _ = train(make_settings(epochs=1), 5, sets["train"], sets["val"], None, torch.device("cpu"), nothing)
    taught.save(found["teacher"][0])
    made: OutlierSet = make_outliers(sets["train"].labels)
    arrays = {
        "embeddings": {"embeddings": made.token.id, "labels": made.token.id_labels},
        "boundary": {"embeddings": made.token.outliers, "labels": made.token.outlier_labels},
        "latents": {
            "latents": made.latent.outliers,
            "labels": made.latent.outlier_labels,
            "id_latents": made.latent.id,
        },
        "gate": {"kept": torch.arange(9)},
    }
    for name, tensors in arrays.items():
        write_tensors(tmp_path / name, {key: value.numpy() for key, value in tensors.items()}, {})
    return found | {name: [tmp_path / name] for name in arrays}


def run(folder: Path, settings: str, files: dict[str, list[Path]]) -> list[Path]:
    outputs = [folder / name for name in NAMES]
    line = ["--settings", settings, "--seed", "0", *writing(stage.main, outputs)]
    stage.main([*line, *(part for name, paths in files.items() for part in (f"--{name}", *map(str, paths)))])
    return outputs


def test_the_stage_writes_what_training_gives(
    sets: dict[str, ImageSet], files: dict[str, list[Path]], make_settings: Any, tmp_path: Path
) -> None:
    settings = make_settings(
        teacher=Teacher(recipe="t", feature_weight=8.0), outliers=OutlierTerms.model_validate({"from": "oal"})
    )
    model, curves, heads = run(tmp_path / "run", settings.canonical(), files)
    outliers = OutlierSet.read(*(files[name][0] for name in OUTLIERS), sets["train"].labels)
    classifier, terms, history = train(
        settings,
        0,
        sets["train"],
        sets["val"],
        None,
        torch.device("cpu"),
        ResumeFile(None, ""),
        teacher_model=files["teacher"][0],
        outliers=outliers,
    )
    written = Classifier.load(model).network.state_dict()
    assert all(torch.equal(value, written[key]) for key, value in classifier.network.state_dict().items())
    learned, header = read_tensors(heads)
    assert header == {"terms": ["distillation", "boundary", "latent"]}
    assert learned.keys() == terms.state_dict().keys()
    assert all(np.array_equal(value, learned[key]) for key, value in terms.state_dict().items())
    table = pd.read_csv(curves)
    assert set(table) == history[0].keys()
    for column in table:
        assert table[column].tolist() == pytest.approx([row[column] for row in history], rel=1e-4)


def test_without_terms_the_heads_are_empty(files: dict[str, list[Path]], make_settings: Any, tmp_path: Path) -> None:
    _, _, heads = run(tmp_path / "run", make_settings().canonical(), {name: files[name] for name in ("train", "val")})
    assert read_tensors(heads) == ({}, {"terms": []})


def test_outliers_of_other_training_images_are_told(
    files: dict[str, list[Path]],
    make_images: Any,
    make_settings: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_images(files["train"][0], make_images(22, 0))
    settings = make_settings(outliers=OutlierTerms.model_validate({"from": "oal"}))
    with pytest.raises(SystemExit):
        run(tmp_path / "run", settings.canonical(), files)
    assert "embeddings: made of 20 images, but there are 22 training images" in capsys.readouterr().err


def test_outliers_come_together(
    files: dict[str, list[Path]], make_settings: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del files["gate"]
    with pytest.raises(SystemExit):
        run(tmp_path / "run", make_settings().canonical(), files)
    assert "--gate: some are missing; give all four or none" in capsys.readouterr().err


def test_exposed_images_come_from_the_gate(
    sets: dict[str, ImageSet], files: dict[str, list[Path]], make_settings: Any, tmp_path: Path
) -> None:
    images, kept = 255 - sets["train"].images, np.array([0, 3, 19])
    write_tensors(tmp_path / "exposed", {"images": images, "kept": kept}, {})
    exposure = UniformExposure.model_validate({"kind": "uniform", "from": "oal"})
    settings = make_settings(exposure=exposure)
    given = {"train": files["train"], "val": files["val"], "exposure": [tmp_path / "exposed"]}
    model, curves, _ = run(tmp_path / "run", settings.canonical(), given)
    nothing = ResumeFile(None, "")
    cpu = torch.device("cpu")
    classifier, _, _ = train(settings, 0, sets["train"], sets["val"], None, cpu, nothing, exposed=images[kept])
    written = Classifier.load(model).network.state_dict()
    assert all(torch.equal(value, written[key]) for key, value in classifier.network.state_dict().items())
    assert "exposure" in pd.read_csv(curves)
