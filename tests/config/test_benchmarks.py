"""Benchmarks by name: roles, counts and pixels of the protocols, and what a configuration may change in them."""

import pytest

from synthood.config.benchmarks import FOLDER, benchmark_names, expanded
from synthood.config.load import load
from synthood.config.messages import MistakeError
from synthood.data.part_settings import PartSettings
from synthood.data.settings import DatasetSettings
from synthood.errors import SynthoodError

# near, far, ID counts and OOD validation count of the protocols; None: not asserted.
PROTOCOLS = {
    "openood-cifar10": ({"cifar100": 9000, "tin": 7793}, (50000, 1000, 9000), 35195, 1000),
    "openood-cifar100": ({"cifar10": None, "tin": 6526}, (50000, 1000, 9000), 33773, 972),
    "sio-cifar10": ({"cifar100": 9000}, (50000, 1000, 9000), 35195, 1000),
    "sio-cifar100": ({"cifar10": None}, (50000, 1000, 9000), 33773, 972),
}


def dataset(name, **more):
    (value,) = expanded({"d": {"benchmark": name, "path": "data/own", **more}}).values()
    return DatasetSettings.model_validate(value)


def test_every_file_is_a_benchmark_with_the_path_filled_in():
    assert len(benchmark_names()) == len(list(FOLDER.iterdir())) >= 8
    for name in benchmark_names():
        settings = dataset(name)
        text = settings.canonical()
        assert "{" + "path}" not in text
        assert '"data/own/benchmark_imglist/' in text


@pytest.mark.parametrize("name", PROTOCOLS)
def test_cifar_sets_have_the_protocols_counts(name):
    near, id_counts, places, validation = PROTOCOLS[name]
    settings = dataset(name)
    assert {key: source.count for key, source in settings.near.items()} == near
    assert (settings.id.count.train, settings.id.count.val, settings.id.count.test) == id_counts
    expected = {"mnist": 70000, "svhn": 26032, "texture": 5640, "places365": places}
    assert {key: source.count for key, source in settings.far.items()} == expected
    assert settings.ood_validation.count == validation
    assert settings.id.class_count == len(settings.id.classes) == (100 if name.endswith("100") else 10)
    for part in settings.evaluated_parts:
        source = settings.source(part)
        assert (source.size, source.resize, source.apply_exif_rotation) == (32, None, False)


def test_imagenet_sets_are_resized_to_256_and_cut_to_224():
    for name in ("openood-imagenet200", "openood-imagenet1k", "sio-imagenet10", "sio-imagenet-dogs"):
        settings = dataset(name)
        for part in [*settings.evaluated_parts, *settings.shifted]:
            source = settings.source(part)
            assert (source.size, source.resize, source.apply_exif_rotation) == (224, 256, False)
        assert settings.ood_validation.count == 1763
        assert settings.far["openimage_o"].count == 15869
    assert list(dataset("openood-imagenet200").near) == ["ssb_hard", "ninco"]
    assert list(dataset("openood-imagenet200").shifted) == ["imagenet_v2", "imagenet_c", "imagenet_r"]
    assert list(dataset("openood-imagenet1k").shifted) == ["imagenet_v2", "imagenet_c", "imagenet_r", "imagenet_es"]
    assert [dataset(f"openood-imagenet{size}").id.class_count for size in ("200", "1k")] == [200, 1000]


def test_sios_subsets_are_labels_of_imagenet_and_near_sets_the_others():
    ten, dogs = dataset("sio-imagenet10"), dataset("sio-imagenet-dogs")
    assert ten.id.labels == [31, 62, 94, 207, 281, 404, 569, 751, 814, 949]
    assert dogs.id.labels == list(range(151, 251))
    assert ten.near["non_10"].except_labels == ten.id.labels
    assert dogs.near["non_dogs"].except_labels == dogs.id.labels
    # 45 test images of every class in OpenOOD's list of ImageNet-1K
    assert ten.near["non_10"].reported_count == 990 * 45
    assert dogs.near["non_dogs"].reported_count == 900 * 45
    assert (ten.id.reported_count.test, dogs.id.reported_count.test) == (10 * 45, 100 * 45)


@pytest.mark.parametrize("name", benchmark_names())
def test_validation_is_apart_from_every_test_set(name):
    settings = dataset(name)
    tests = [settings.id.test, *(settings.source(part).list for part in settings.ood_sets)]
    assert settings.ood_validation.list not in tests
    assert len({settings.id.train, settings.id.val, settings.id.test}) == 3
    roles = [*tests, settings.ood_validation.list, settings.id.train, settings.id.val]
    shared = {path for path in roles if roles.count(path) > 1}
    assert shared <= ({settings.id.test} if name.startswith("sio-imagenet") else set())


def test_a_part_comes_back_from_its_text():
    settings = dataset("openood-imagenet200")
    for part in [*settings.evaluated_parts, *settings.shifted]:
        source = settings.source(part)
        ood = part not in ("train", "val", "test")
        before = PartSettings(part=part, ood=ood, source=source)
        assert PartSettings.parse(before.canonical()) == before


def test_own_keys_come_above_the_benchmarks():
    settings = dataset("openood-cifar10", far={"places365": None, "noise": {"kind": "noise", "images": 5}})
    assert list(settings.far) == ["mnist", "svhn", "texture", "noise"]
    assert dataset("openood-cifar10", id={"count": {"train": 1}}).id.count.train == 1


def test_an_allowance_goes_with_the_set_it_is_for():
    (allowed,) = dataset("openood-cifar10").allow_overlap
    assert (allowed.parts, allowed.images) == (["test", "cifar100"], 1)
    assert dataset("openood-cifar10", near={"cifar100": None}).allow_overlap == []
    own = dataset("openood-cifar10", allow_overlap=[{"parts": ["train", "test"]}]).allow_overlap
    assert [one.parts for one in own] == [["train", "test"]]


def test_a_configuration_names_a_benchmark(demo):
    demo["datasets"]["digits"] = {"benchmark": "openood-cifar10", "path": "data"}
    demo["generators"]["sd"]["fit"]["extra_sets"] = []
    assert load(demo).datasets["digits"].near["tin"].count == 7793


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"benchmark": "openood-cifar1", "path": "x"}, "d.benchmark: no benchmark is named 'openood-cifar1'; did you"),
        ({"benchmark": 3, "path": "x"}, "d.benchmark: no benchmark is named 3"),
        ({"benchmark": "openood-cifar10"}, "d.path: expected the folder that holds the data of openood-cifar10"),
        ({"benchmark": "openood-cifar10", "path": 3}, "d.path: expected the folder"),
    ],
)
def test_a_wrong_name_or_a_missing_path_is_told(value, message):
    with pytest.raises(MistakeError, match=f"^datasets.{message}"):
        expanded({"d": value})


def test_classes_that_nobody_names_stop_before_any_job(demo):
    demo["datasets"]["digits"] |= {"id": {"kind": "folders", "path": "photos"}}
    with pytest.raises(SynthoodError, match=r"datasets.digits.id.classes: name them; generators make"):
        load(demo)
    demo["datasets"]["digits"]["id"]["classes"] = ["cat", "dog"]
    assert load(demo).datasets["digits"].id.class_count == 2
