"""`synthood init`, from the command line to a configuration that passes the check."""

import shutil

import numpy as np
import pytest
import yaml
from PIL import Image

from class_folders import by_class, by_split, fill
from synthood.cli import main
from synthood.config.load import load_file

COUNTS = {"ant": 30, "bee": 30, "cow": 40}


def failure(capsys, *arguments):
    """The error's text, which is one line."""
    with pytest.raises(SystemExit) as caught:
        main(["init", *map(str, arguments)])
    assert caught.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_folder_becomes_a_short_configuration_that_passes_the_check(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    by_class(tmp_path / "my photos", COUNTS)
    main(["init", "my photos", "--held-out", "bee", "--size", "16"])
    out = capsys.readouterr().out
    text = (tmp_path / "my-photos.yaml").read_text()
    assert len(text.splitlines()) <= 60
    config = load_file(tmp_path / "my-photos.yaml")
    dataset = config.datasets["my-photos"]
    assert (dataset.id.path, dataset.id.size, dataset.held_out) == ("my photos", 16, ["bee"])
    assert dataset.ood_sets == ["held-out", "photo-patches", "textures", "noise"]
    assert config.deploy is None
    assert "warning: no thresholds and no export: 7 validation images are fewer than 9" in out
    assert "# Takes about " in text
    assert "my-photos.yaml: written, and passes `synthood check --data`. Next:\n  synthood run my-photos.yaml" in out
    main(["check", "--data", "my-photos.yaml"])
    assert "my-photos.yaml: valid; tables my-photos, recipes classifier" in capsys.readouterr().out


def test_unicode_names_and_those_like_paths_are_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    by_class(tmp_path / "Fotos ü", {"kätzchen": 25, "C:\\hund": 25, "~": 25, "no": 25})
    main(["init", str(tmp_path / "Fotos ü"), "--out", "f.yaml", "--held-out", "C:\\hund", "~"])
    assert load_file(tmp_path / "f.yaml").datasets["Fotos"].held_out == ["C:\\hund", "~"]
    assert "held out C:\\hund, ~: held out as asked" in capsys.readouterr().out


def test_bad_images_and_copies_do_not_stop_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    by_split(tmp_path / "photos", {"train": 30, "val": 30, "test": 30})
    fill(tmp_path / "photos" / "other", 20, 99)
    shutil.copy(tmp_path / "photos/train/a/0.png", tmp_path / "photos/val/a/copy.png")
    shutil.copy(tmp_path / "photos/train/a/1.png", tmp_path / "photos/test/b/copy.png")
    (tmp_path / "photos/train/a/2.png").write_bytes(b"")
    main(["init", "photos"])
    raw = yaml.safe_load((tmp_path / "photos.yaml").read_text())
    assert raw["leaks"] == {"drop": True}
    dataset = raw["datasets"]["photos"]
    assert dataset["id"]["on_bad_image"] == "skip"
    assert dataset["near"]["other"]["path"] == "photos/other"
    assert dataset["allow_overlap"] == [{"parts": ["train", "val"], "images": 1}]
    assert raw["deploy"]["calibration"] == "cross"
    out = capsys.readouterr().out
    assert out.startswith("problem: 1 images cannot be read and are left out: ")
    assert "folders not read" not in out  # `other` is the near OOD set


def test_calibration_images_are_a_part_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    by_split(tmp_path / "photos", {"train": 20, "val": 100, "test": 10}, side=8)
    shutil.copytree(tmp_path / "photos/val/a", tmp_path / "photos/train/a", dirs_exist_ok=True)
    main(["init", "photos"])
    config = load_file(tmp_path / "photos.yaml")
    dataset = config.datasets["photos"]
    assert (dataset.calibration, config.deploy.calibration, config.deploy.detector) == (0.5, "split", "auto")
    assert [sorted(one.parts) for one in dataset.allow_overlap] == [["train", "val"]]
    assert 30 < dataset.allow_overlap[0].images < 70


def test_classes_of_a_table_may_be_called_like_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    by_class(tmp_path / "photos", {"a": 20, "b": 20, "c": 20})
    names = {"a": "../../etc", "b": "x/y", "c": "/root"}
    files = sorted((tmp_path / "photos").rglob("*.png"))
    rows = [f"{file.relative_to(tmp_path)},{names[file.parent.name]}" for file in files]
    (tmp_path / "list.csv").write_text("path,label\n" + "\n".join(rows))
    main(["init", "list.csv", "--held-out", "../../etc"])
    config = load_file(tmp_path / "list.yaml")
    assert (config.datasets["list"].id.path, config.datasets["list"].held_out) == ("list.csv", ["../../etc"])
    assert {path.name for path in tmp_path.iterdir()} == {"photos", "list.csv", "list.yaml"}


def test_mistakes_end_in_one_sentence_and_nothing_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    photos = by_class(tmp_path / "photos", COUNTS)
    assert failure(capsys, "none") == "error: none: no such folder; give one with one folder of images per class"
    assert "one class alone, ant" in failure(capsys, by_class(tmp_path / "one", {"ant": 10}))
    assert "--size 5: give 8 to 1024 pixels a side" in failure(capsys, photos, "--size", 5)
    assert "--seed -1: give a number from 0" in failure(capsys, photos, "--seed", -1)
    assert "--held-out dog: no class of this name" in failure(capsys, photos, "--held-out", "dog")
    assert "--mean goes with --from-model" in failure(capsys, photos, "--mean", 0.5, 0.5, 0.5)
    assert "weights.pt: no such file; --from-model takes" in failure(capsys, photos, "--from-model", "weights.pt")
    (tmp_path / "photos.yaml").write_text("mine")
    assert "photos.yaml: is there already and is never overwritten" in failure(capsys, photos)
    assert {path.name for path in tmp_path.iterdir()} == {"photos", "one", "photos.yaml"}


def test_sixteen_bit_images_that_are_nearly_black_are_refused(tmp_path, capsys):
    for name in "abc":
        folder = tmp_path / "scans" / name
        folder.mkdir(parents=True)
        for index in range(10):
            grey = np.random.default_rng(index).integers(0, 900, (16, 16)).astype(np.uint16)
            Image.fromarray(grey).save(folder / f"{index}.png")
    assert "all fit into 10 bits; set `bits: 10`" in failure(capsys, tmp_path / "scans", "--out", tmp_path / "a.yaml")
