"""What planning sees of raw files."""

import os
from pathlib import Path

import numpy as np
import pytest

from checkouts import WarmWorkflow, Workflow
from synthood.common.artefact import write_provenance
from synthood.data.part_settings import PartSettings
from synthood.data.raw import missing, raw_paths, state
from synthood.data.sources.arrays import Arrays, IdArrays
from synthood.data.sources.computed import Noise
from synthood.data.sources.digits import IdDigits
from synthood.data.sources.folders import Folders
from synthood.data.sources.imglist import IdImglist, Imglist
from synthood.data.sources.manifest import IdManifest
from synthood.data.sources.shuffled_quadrants import ShuffledQuadrants
from synthood.data.sources.torchvision import LAYOUTS, IdTorchvision, Torchvision

ID = IdDigits(kind="digits", classes=[0], train_per_class=5, val_per_class=2)


def part(source, name="far", **more):
    return PartSettings(part=name, source=source, **more)


def test_what_reads_no_files_has_no_state():
    for source in (Noise(kind="noise", images=3), ShuffledQuadrants(kind="shuffled-quadrants", images=3), ID):
        settings = part(source, "train" if source == ID else "far", validation=ID)
        assert (raw_paths(settings), missing(settings), state(settings, Path("x"))) == ([], [], "")


def written(path: Path, text: str, seconds: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (seconds, seconds))


@pytest.fixture
def sources(tmp_path):
    """One part per kind, each with a raw file whose change must be noticed."""
    for name in ("own.npz", "set/a/1.png", "images/a/1.png", "table/1.png"):
        written(tmp_path / name, "x", 1000)
    lists = {}
    for name in ("train", "val", "test"):
        written(tmp_path / f"{name}.txt", "a/1.png 0\n", 1000)
        lists[name] = str(tmp_path / f"{name}.txt")
    written(tmp_path / "table/own.csv", "path,label\n1.png,a\n", 1000)
    images = str(tmp_path / "images")
    return {
        "own.npz": part(Arrays(kind="arrays", path=str(tmp_path / "own.npz"))),
        "set/a/1.png": part(Folders(kind="folders", path=str(tmp_path / "set"))),
        "images/a/1.png": part(Imglist(kind="imglist", path=images, list=lists["test"])),
        "val.txt": part(IdImglist(kind="imglist", path=images, **lists), "val"),
        "train.txt": part(IdImglist(kind="imglist", path=images, **lists), "test"),
        "table/1.png": part(IdManifest(kind="manifest", path=str(tmp_path / "table/own.csv")), "train"),
        "table/own.csv": part(IdManifest(kind="manifest", path=str(tmp_path / "table/own.csv")), "train"),
    }


def test_a_write_is_noticed_in_every_kind_and_nothing_else_is(sources, tmp_path):
    made = tmp_path / "made"
    for name, settings in sources.items():
        before = state(settings, made)
        assert before
        assert state(settings, made) == before
        written(tmp_path / "other.png", "x", 1000)
        assert state(settings, made) == before
        written(tmp_path / name, "x" if name.endswith("png") else (tmp_path / name).read_text() + "\n", 1001)
        assert state(settings, made) != before, name


def test_an_image_added_or_taken_away_is_noticed(sources, tmp_path):
    before = state(sources["set/a/1.png"], tmp_path)
    written(tmp_path / "set/a/2.png", "x", 1000)
    more = state(sources["set/a/1.png"], tmp_path)
    (tmp_path / "set/a/1.png").unlink()
    assert len({before, more, state(sources["set/a/1.png"], tmp_path)}) == 3


def test_links_in_a_circle_end(sources, tmp_path):
    (tmp_path / "set/a/up").symlink_to(tmp_path / "set")
    assert state(sources["set/a/1.png"], tmp_path)


def test_raw_data_may_go_once_the_part_is_made(sources, tmp_path):
    made = tmp_path / "far.safetensors"
    settings = sources["own.npz"]
    before = state(settings, made)
    made.write_text("pixels")
    write_provenance(made, made, {"raw": before})
    (tmp_path / "own.npz").unlink()
    assert missing(settings) == [tmp_path / "own.npz"]
    assert state(settings, made) == before
    assert state(settings, tmp_path / "never made") == ""


def test_the_files_of_torchvisions_layouts_are_known(tmp_path):
    for kind in LAYOUTS:
        for source, name in (
            (IdTorchvision(kind=kind, path="none"), "train"),
            (Torchvision(kind=kind, path="none"), "x"),
        ):
            settings = part(source, name)
            assert raw_paths(settings)
            assert missing(settings) == raw_paths(settings)
    raw = tmp_path / "MNIST/raw"
    written(raw / "t10k-images-idx3-ubyte.gz", "x", 1)
    written(raw / "t10k-labels-idx1-ubyte", "x", 1)
    assert missing(part(Torchvision(kind="mnist", path=str(tmp_path)))) == []
    pair = IdArrays(kind="arrays", train="a", test="b", classes=["x", "y"], val_per_class=1)
    assert [raw_paths(part(pair, name)) for name in ("train", "val", "test")] == [[Path("a")], [Path("b")], [Path("b")]]


@pytest.mark.workflow
def test_a_changed_file_is_prepared_again_and_a_lost_one_is_not(fresh: Workflow) -> None:
    images = np.random.default_rng(0).integers(0, 256, (30, 32, 32, 3), dtype=np.uint8)
    own = fresh.place / "own.npz"
    config = fresh.config
    config["datasets"]["digits"]["far"] = {"own": {"kind": "arrays", "path": "own.npz"}}
    fresh.config = config
    target = "results/digits/images/own.safetensors"
    warm = WarmWorkflow(fresh.place)
    planned = warm.run("-n")
    assert planned.returncode == 0, planned.stdout
    assert "prepare own of digits" in planned.stdout
    refused = warm.run("results/digits/images/train.safetensors", target)
    assert refused.returncode != 0
    assert "0 of " not in refused.stdout  # no job ran
    assert not (fresh.place / "results/digits/images").exists()
    for done in (planned, refused):
        assert "Raw files that are not there (`synthood fetch --config FILE` gets what is public):" in done.stdout
        assert "  own.npz (datasets.digits.far.own)" in done.stdout
    apart = fresh.run("results/digits/images/val.safetensors")
    assert apart.returncode == 0, apart.stdout
    np.savez(own, images=images)
    done = fresh.run(target)
    assert done.returncode == 0, done.stdout
    assert warm.planned(target) == set()
    content = own.read_bytes()
    own.unlink()
    assert warm.planned(target) == set()
    own.write_bytes(content)
    np.savez(own, images=images[::-1])
    assert warm.planned(target) == {"prepare own of digits"}
    warm.end()


@pytest.mark.workflow
def test_a_benchmark_is_planned_without_its_data(clean: WarmWorkflow) -> None:
    config = clean.config
    config["datasets"] = {"cifar10": {"benchmark": "openood-cifar10", "path": "data"}}
    config["generators"]["sd"]["fit"]["extra_sets"] = []
    config["tables"]["small"]["datasets"] = ["cifar10"]
    clean.config = config
    jobs = clean.planned()
    assert {f"prepare {name} of cifar10" for name in ("train", "val", "test", "tin", "svhn", "ood_validation")} <= jobs
