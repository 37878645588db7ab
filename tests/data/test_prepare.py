"""The stage `prepare`: from settings to a file."""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from synthood.common.encoded import is_encoded
from synthood.common.images import pixel_sha256, read_images
from synthood.config.load import load_file
from synthood.data.part_settings import PartSettings
from synthood.data.prepare import main, prepare
from synthood.data.selection import Selection
from synthood.data.sources.digits import extra_digits, id_split
from synthood.data.sources.shuffled_quadrants import ShuffledQuadrants
from synthood.errors import SynthoodError
from synthood.workflow.plan import Plan

PLAN = Plan(load_file(Path(__file__).parents[2] / "config.yaml"))
(DATASET,) = PLAN.config.datasets
NOISE = '{"part":"n","source":{"kind":"noise","images":5,"seed":2}}'


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    """The stage sets these; the test gives them back."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    monkeypatch.delenv("SYNTHOOD_CODE", raising=False)


def settings_of(part):
    return PLAN.part_settings(SimpleNamespace(dataset=DATASET, part=part))


@pytest.fixture(scope="module")
def made():
    """All parts of the shipped configuration."""
    dataset = PLAN.config.datasets[DATASET]
    return {part: prepare(settings_of(part)) for part in [*dataset.evaluated_parts, *dataset.extra]}


def test_every_part_is_made_by_its_source(made):
    dataset = PLAN.config.datasets[DATASET]
    split = id_split(dataset.id)
    expected = {
        **split,
        "ood_validation": dataset.ood_validation.shuffled(split["val"]),
        "digits-6-7": extra_digits(dataset.extra["digits-6-7"]),
        "digits-8-9": extra_digits(dataset.near["digits-8-9"]),
        "photos": dataset.far["photos"].read(Selection(part="far")),
        "textures": dataset.far["textures"].read(Selection(part="far")),
        "noise": dataset.far["noise"].read(Selection(part="far")),
    }
    assert made.keys() == expected.keys()
    for part, images in made.items():
        assert images.images.tobytes() == expected[part].images.tobytes(), part


def test_no_image_stands_in_two_parts(made):
    digests = [
        digest.tobytes() for images in made.values() for digest in np.unique(pixel_sha256(images.images), axis=0)
    ]
    assert len(digests) == len(set(digests))


def test_counts_are_those_of_the_configuration(made):
    dataset = PLAN.config.datasets[DATASET]
    classes = len(dataset.id.classes)
    assert len(made["train"]) == classes * dataset.id.train_per_class
    assert len(made["val"]) == classes * dataset.id.val_per_class
    assert len(made["photos"]) == dataset.far["photos"].images
    assert len(made["ood_validation"]) == dataset.ood_validation.images


def test_far_and_validation_sets_carry_the_label_of_ood(made):
    for part in ("photos", "textures", "noise", "ood_validation"):
        assert set(made[part].labels.tolist()) == {-1}


def test_near_sets_carry_the_label_of_ood(made):
    assert set(made["digits-8-9"].labels.tolist()) == {-1}


def test_the_stage_writes_the_part_and_where_it_came_from(tmp_path, capsys):
    output = tmp_path / "deep" / "n.safetensors"
    main(["--settings", NOISE, "--output", str(output), "--threads", "3"])
    expected = prepare(PartSettings.parse(NOISE))
    assert read_images(output).images.tobytes() == expected.images.tobytes()
    facts = json.loads((output.parent / "n.safetensors.provenance.json").read_text())
    assert facts["sha256"] == hashlib.sha256(output.read_bytes()).hexdigest()
    assert (facts["stage"], facts["settings"], facts["threads"]) == ("prepare", NOISE, 3)
    assert facts["packages"]["numpy"] == np.__version__
    facts = "before preparation: native size 32 px; channels RGB; format computed; resizing none"
    assert capsys.readouterr().out == f"{output}: 5 images of 0 classes\n{facts}\n"
    assert sorted(p.name for p in output.parent.iterdir() if p.suffix != ".lock") == [
        "n.safetensors",
        "n.safetensors.provenance.json",
    ]


def test_two_runs_write_the_same_bytes(tmp_path):
    first, second = tmp_path / "a" / "n.safetensors", tmp_path / "b" / "m.safetensors"
    for output in (first, second):
        main(["--settings", settings_of("val").canonical(), "--output", str(output)])
    assert first.read_bytes() == second.read_bytes()


def test_shuffled_quadrants_without_images_to_shuffle_are_a_plain_error(tmp_path, capsys):
    source = ShuffledQuadrants(kind="shuffled-quadrants", images=3)
    with pytest.raises(SynthoodError, match=r"^part q: shuffled-quadrants are made of ID images"):
        prepare(PartSettings(part="q", source=source))
    with pytest.raises(SystemExit) as caught:
        main(["--settings", PartSettings(part="q", source=source).canonical(), "--output", str(tmp_path / "q")])
    assert caught.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith("error: part q: shuffled-quadrants are made of ID images")
    assert error.count("\n") == 1
    assert not (tmp_path / "q").exists()


def test_large_images_are_resized_once_and_stored_encoded(tmp_path, draw, capsys):
    pixels = [draw("set/a/1.png", 100, 100), draw("set/b/2.png", 100, 100), draw("set/b/3.png", 100, 100)]
    (tmp_path / "set/b/4.png").write_text("no")
    source = {"kind": "folders", "path": str(tmp_path / "set"), "size": 80, "resize": 100, "on_bad_image": "skip"}
    output = tmp_path / "out" / "extra.safetensors"
    main(["--settings", json.dumps({"part": "extra", "source": source}), "--output", str(output), "--threads", "2"])
    made = read_images(output)
    np.testing.assert_array_equal(made.images, [image[10:90, 10:90] for image in pixels])
    assert (made.labels.tolist(), made.classes) == ([0, 1, 1], ["a", "b"])
    note = f"{tmp_path / 'set/b/4.png'}: not an image file"
    assert made.notes == [note]
    facts = "before preparation: native size 80 px; channels RGB; format PNG; resizing none"
    assert capsys.readouterr().out == f"{output}: 3 images of 2 classes; 1 of a to 2 of b\nnote: {note}\n{facts}\n"
    assert is_encoded(output)
    far = tmp_path / "out" / "far.safetensors"
    main(["--settings", json.dumps({"part": "far", "ood": True, "source": source}), "--output", str(far)])
    assert (read_images(far).labels.tolist(), read_images(far).classes) == ([-1] * 3, [])
    strict, missing = {"part": "far", "source": source | {"on_bad_image": "error"}}, tmp_path / "missing"
    with pytest.raises(SystemExit):
        main(["--settings", json.dumps(strict), "--output", str(missing)])
    assert not missing.exists()
    assert "4.png: not an image file" in capsys.readouterr().err
