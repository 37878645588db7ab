"""Real CIFAR-10, and OpenOOD v1.5's lists for it: the same images whatever the layout, the protocol's counts."""

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import torchvision

from synthood.common.images import ImageSet, pixel_sha256
from synthood.data.leaks.find_leaks import Part, leaks
from synthood.data.leaks.likeness import looks_of
from synthood.data.leaks.settings import LeakSettings
from synthood.data.part_settings import PartSettings
from synthood.data.prepare import prepare
from synthood.data.selection import Selection
from synthood.data.sources.arrays import IdArrays
from synthood.data.sources.folders import IdFolders
from synthood.data.sources.imglist import IdImglist, Imglist
from synthood.data.sources.torchvision import IdTorchvision

WORDS = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def multiset(images: ImageSet) -> Counter[tuple[bytes, str]]:
    digests = pixel_sha256(images.images)
    return Counter(
        (digest.tobytes(), images.classes[y]) for digest, y in zip(digests, images.labels.tolist(), strict=True)
    )


@pytest.fixture(scope="module")
def lists(real_data):
    folder = real_data / "openood" / "benchmark_imglist" / "cifar10"
    named = {part: str(folder / f"{part}_cifar10.txt") for part in ("train", "val", "test")}
    return IdImglist(kind="imglist", path=str(real_data / "openood" / "images_classic"), **named)


def test_three_layouts_give_the_same_images_and_labels(real_data, lists):
    arrays = real_data / "arrays"
    sources = [
        IdTorchvision(kind="cifar10", path=str(real_data)),
        IdArrays(
            kind="arrays",
            train=str(arrays / "cifar10_train.npz"),
            test=str(arrays / "cifar10_test.npz"),
            classes=WORDS,
            val_per_class=100,
        ),
        lists,
    ]
    for parts in (["train"], ["val", "test"]):
        found = [
            sum((multiset(prepare(PartSettings(part=part, source=source))) for part in parts), Counter())
            for source in sources
        ]
        assert found[0] == found[1] == found[2]
        assert found[0].total() == (50_000 if parts == ["train"] else 10_000)


def test_openoods_lists_have_the_protocols_counts(real_data, lists):
    parts = {part: lists.listed(Selection(part=part)) for part in ("train", "val", "test")}
    assert {part: len(listing) for part, listing in parts.items()} == {"train": 50_000, "val": 1_000, "test": 9_000}
    assert all(listing.classes == WORDS for listing in parts.values())
    assert not set(parts["val"].images) & set(parts["test"].images)
    folder = real_data / "openood" / "benchmark_imglist" / "cifar10"
    ood = {
        name: Imglist(kind="imglist", path=lists.path, list=str(folder / f"{name}.txt")).listed(Selection(part=name))
        for name in ("test_cifar100", "test_tin", "test_mnist", "val_tin")
    }
    assert [len(listing) for listing in ood.values()] == [9_000, 7_793, 70_000, 1_000]
    assert not set(ood["val_tin"].images) & set(ood["test_tin"].images)


def test_pickles_are_read_as_torchvision_reads_them(real_data):
    oracle = torchvision.datasets.CIFAR10(str(real_data), train=False)
    test = IdTorchvision(kind="cifar10", path=str(real_data)).listed(Selection(part="test"))
    val = IdTorchvision(kind="cifar10", path=str(real_data)).listed(Selection(part="val"))
    assert (len(val), len(test), test.classes) == (1_000, 9_000, oracle.classes)
    both = ImageSet(np.concatenate([val.images, test.images]), np.concatenate([val.labels, test.labels]), test.classes)
    expected = ImageSet(oracle.data, np.array(oracle.targets, np.int64), oracle.classes)
    assert multiset(both) == multiset(expected)


def test_jpegs_of_64_px_become_32(real_data, lists):
    source = Imglist(
        kind="imglist",
        path=lists.path,
        list=str(real_data / "openood" / "benchmark_imglist" / "cifar10" / "val_tin.txt"),
        size=32,
    )
    made = source.read(Selection(part="ood_validation", ood=True))
    assert made.images.shape == (1_000, 32, 32, 3)
    assert made.notes == ["14 grey images became RGB"]


def test_the_image_that_cifar10_and_cifar100_share_is_found_and_near_duplicates_within_cifar10(real_data):
    """Barz and Denzler (arXiv 1902.00423) count 3.3 % of CIFAR-10's test images that resemble a training image."""
    arrays = {
        name: np.load(real_data / "arrays" / f"{name}.npz")["images"]
        for name in ("cifar10_train", "cifar10_test", "cifar100_test")
    }
    parts = [Part(name, [], looks_of(images), pixel_sha256(images)) for name, images in arrays.items()]
    counts, pairs = leaks(parts, LeakSettings())
    found = {(row.part, row.other): (row.exact, row.near) for row in counts.itertuples()}
    assert found["cifar10_test", "cifar100_test"] == (1, 0)
    assert found["cifar100_test", "cifar10_test"] == (1, 0)
    assert found["cifar10_test", "cifar10_train"][0] == 0
    assert 200 <= found["cifar10_test", "cifar10_train"][1] <= 250
    assert found["cifar100_test", "cifar10_train"][1] <= 5
    shared = pairs[(pairs["kind"] == "exact") & pairs["image"].str.startswith("cifar10_test")]
    one, other = (int(shared.iloc[0][column].rpartition("/")[2]) for column in ("image", "other"))
    np.testing.assert_array_equal(arrays["cifar10_test"][one], arrays["cifar100_test"][other])


@pytest.fixture(scope="module")
def clothing(shared_data, tmp_path_factory):
    """Photographs of ten classes below train, validation and test."""
    place = tmp_path_factory.mktemp("clothing")
    command = [sys.executable, str(shared_data / "unpack.py"), str(place), "--only", "clothing"]
    subprocess.run(command, check=True, capture_output=True)
    return place / "clothing"


def test_folders_that_are_called_validation_are_used_with_all_held_out_images(clothing):
    source = IdFolders(kind="folders", path=str(clothing), size=64, except_classes=["hat", "shoes"])
    parts = {part: source.listed(Selection(part=part)) for part in ("train", "val", "test")}
    assert {part: len(listing) for part, listing in parts.items()} == {"train": 2_747, "val": 301, "test": 287}
    assert all(
        {file.parents[1].name for file in listing.images} == {name}
        for name, listing in (("train", parts["train"]), ("validation", parts["val"]), ("test", parts["test"]))
    )
    held = source.model_copy(update={"except_classes": []}).listed(Selection(part="near", held_out=["hat", "shoes"]))
    assert Counter(file.parents[1].name for file in held.images) == {"train": 321, "validation": 40, "test": 85}
    assert not {file.parent.name for file in held.images} - {"hat", "shoes"}
    assert [listing.notes for listing in parts.values()] == [[], [], []]
