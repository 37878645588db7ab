"""What of a configuration's data could be fetched."""

import pytest

from synthood import cli
from synthood.config.load import load
from synthood.data.public.wanted import wanted

CIFAR10 = {"kind": "cifar10", "path": "data", "val_per_class": 100}


def names(edited, dataset):
    raw = edited({"datasets/digits/extra": None, "datasets/digits/id": CIFAR10, "generators/sd/fit/extra_sets": []})
    raw["datasets"]["digits"] |= dataset
    return [(name, path.as_posix()) for name, path in wanted(load(raw).datasets.values())]


def test_each_data_set_once_in_order(edited):
    far = {"svhn": {"kind": "svhn", "path": "far/svhn"}, "mnist": {"kind": "mnist", "path": "far", "size": 32}}
    near = {"cifar100": {"kind": "cifar100", "path": "data"}}
    found = [("cifar10", "data"), ("cifar100", "data"), ("svhn", "far"), ("mnist", "far")]
    assert names(edited, {"near": near, "far": far}) == found


def test_what_is_there_is_not_fetched_again(edited, tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for file in ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte.gz"):
        (raw / file).touch()
    far = {"m": {"kind": "mnist", "path": str(tmp_path), "size": 32}}
    assert ("mnist", tmp_path.as_posix()) not in names(edited, {"far": far})


def test_the_folder_itself_may_be_named(edited):
    far = {"m": {"kind": "mnist", "path": "x/MNIST/raw", "size": 32}}
    assert ("mnist", "x") in names(edited, {"far": far})


@pytest.mark.parametrize(("folder", "name"), [("images_classic", "openood"), ("images_largescale", "openood-imagenet")])
def test_openoods_lists_lead_to_its_bundle(edited, folder, name):
    near = {"tin": {"kind": "imglist", "path": f"d/{folder}", "list": "d/benchmark_imglist/cifar10/test_tin.txt"}}
    assert (name, "d") in names(edited, {"near": near})


def test_a_list_is_there_with_its_first_image(edited, tmp_path):
    """The folder of all images says nothing of a single set."""
    lists, images = tmp_path / "benchmark_imglist" / "cifar10", tmp_path / "images_classic"
    near = {"svhn": {"kind": "imglist", "path": str(images), "list": str(lists / "test_svhn.txt")}}
    lists.mkdir(parents=True)
    (images / "cifar10").mkdir(parents=True)
    missing = ("openood", tmp_path.as_posix())
    assert missing in names(edited, {"near": near})
    (lists / "test_svhn.txt").write_text("\nsvhn/test/5 a.png -1\nsvhn/test/6.png -1\n")
    assert missing in names(edited, {"near": near})
    (images / "svhn" / "test").mkdir(parents=True)
    (images / "svhn" / "test" / "5 a.png").touch()
    assert missing not in names(edited, {"near": near})


def test_computed_images_need_nothing(demo):
    assert wanted(load(demo).datasets.values()) == []


def test_what_must_be_had_by_hand_is_told_once_and_completely(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text(
        "version: 1\nbuild: [t]\n"
        "recipes: {ce: {network: {name: resnet8}, epochs: 1, batch_size: 8, learning_rate: 0.1}}\n"
        "datasets: {d: {benchmark: openood-cifar10, path: data}}\ndetectors: {msp: {kind: msp}}\n"
        "tables: {t: {datasets: [d], recipes: [ce], seeds: [0], detectors: [msp], baselines: [ce]}}\n"
    )
    with pytest.raises(SystemExit):
        cli.main(["fetch", "--config", "c.yaml"])
    told = capsys.readouterr().err
    assert told.count("openood: 8 files are missing") == 1
    assert "data/benchmark_imglist: https://" in told
    for name in ("cifar10", "svhn", "texture", "places365"):
        assert f"data/images_classic/{name}: https://" in told
