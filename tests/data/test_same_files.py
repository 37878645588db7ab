"""Parts that are made from the same images, however their paths are spelled, and those that only look so."""

import json
from pathlib import Path

import pytest

from synthood.config.load import load
from synthood.data.part_settings import PartSettings
from synthood.data.same_files import same_files
from synthood.data.sources.arrays import IdArrays
from synthood.data.sources.folders import IdFolders
from synthood.data.sources.imglist import IdImglist
from synthood.data.sources.manifest import IdManifest
from synthood.errors import SynthoodError

FOLDERS = {"kind": "folders", "path": "id"}
ARRAYS = {"kind": "arrays", "train": "a.npz", "test": "b.npz", "classes": ["x", "y"], "val_per_class": 1}
LISTS = {"kind": "imglist", "path": "root", "train": "train.txt", "val": "val.txt", "test": "test.txt"}
MANIFEST = {"kind": "manifest", "path": "id/table.csv"}
CIFAR = {"kind": "cifar10", "path": "c"}
ID_KINDS = {"folders": IdFolders, "arrays": IdArrays, "imglist": IdImglist, "manifest": IdManifest}


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Undivided class folders `id`, divided ones `divided`, arrays, and links to both."""
    for folder in ("id/x", "id/y", "id/z", "divided/Train/x", "divided/Test/x", "divided/ood/q", "other", "c"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("a.npz", "b.npz", "train.txt", "val.txt", "test.txt", "id/table.csv"):
        (tmp_path / file).write_text("")
    (tmp_path / "linked").symlink_to("id")
    (tmp_path / "linked.npz").symlink_to("a.npz")
    (tmp_path / "hard.npz").hardlink_to(tmp_path / "b.npz")
    monkeypatch.chdir(tmp_path)


def found(id_source: dict[str, object], **sets: dict[str, object]) -> set[str]:
    """Pairs of parts as `one two`; sets whose names begin with e are extra."""
    taught = PartSettings.model_validate({"part": "train", "source": id_source}).source
    made = {
        name: PartSettings.model_validate({"part": name, "ood": True, "source": source}).source
        for name, source in sets.items()
    }
    extra = {name: source for name, source in made.items() if name.startswith("e")}
    ood = {name: source for name, source in made.items() if name not in extra}
    return {f"{one} {other}" for one, other, _ in same_files(taught, ood, extra)}


WITH_ID = {"train f", "val f", "test f"}


@pytest.mark.parametrize("path", ["id", "./id/", "id/../id", "linked", "linked/x", "id/y", ".", "other/../id/z/"])
def test_a_set_of_the_id_folders_images(path: str, tmp_path: Path) -> None:
    assert found(FOLDERS, f={"kind": "folders", "path": path}) == WITH_ID
    assert found(FOLDERS, f={"kind": "folders", "path": str(tmp_path / path)}) == WITH_ID


def test_a_class_that_is_left_out_is_another_set() -> None:
    without = FOLDERS | {"except_classes": ["z"]}
    assert found(without, f={"kind": "folders", "path": "linked/z"}) == set()
    assert found(without, f={"kind": "folders", "path": "id/y"}) == WITH_ID
    assert found(without, f={"kind": "folders", "path": "id"}) == WITH_ID


def test_divided_folders_are_compared_part_by_part() -> None:
    divided = {"kind": "folders", "path": "divided"}
    assert found(divided, f={"kind": "folders", "path": "divided/ood"}) == set()
    assert found(divided, f={"kind": "folders", "path": "divided/Train"}) == {"train f"}
    assert found(divided, f={"kind": "folders", "path": "divided/Test/x"}) == {"val f", "test f"}
    assert found(divided, f={"kind": "folders", "path": "divided"}) == WITH_ID
    Path("divided/val").symlink_to("Train")
    assert found(divided) == {"train val"}


def test_two_sets_of_one_folder_or_of_a_folder_in_another() -> None:
    sets = {"f": {"kind": "folders", "path": "other"}, "g": {"kind": "folders", "path": "other/sub"}}
    assert found(FOLDERS, **sets) == {"f g"}
    assert found(FOLDERS, f=sets["f"], g={"kind": "folders", "path": "others"}) == set()
    assert found(FOLDERS, f=sets["f"], e=sets["f"]) == {"f e"}
    assert found(FOLDERS, e=sets["f"], e2=sets["f"]) == set()


def test_arrays() -> None:
    assert found(ARRAYS) == set()
    assert found(ARRAYS | {"test": "a.npz"}) == {"train val", "train test"}
    assert found(ARRAYS | {"test": "./linked.npz"}) == {"train val", "train test"}
    assert found(ARRAYS, f={"kind": "arrays", "path": "linked.npz"}) == {"train f"}
    assert found(ARRAYS, f={"kind": "arrays", "path": "hard.npz", "size": 32}) == {"val f", "test f"}
    assert found(ARRAYS, f={"kind": "arrays", "path": "c.npz"}) == set()


def test_lists_of_one_folder_are_apart_and_one_list_is_not() -> None:
    one = {"kind": "imglist", "path": "root", "list": "f.txt"}
    assert found(LISTS, f=one, g=one | {"list": "g.txt"}) == set()
    assert found(LISTS, f=one, g=one | {"list": "./f.txt", "size": 64}) == {"f g"}
    assert found(LISTS, f=one | {"list": "val.txt"}) == {"val f"}
    assert found(LISTS | {"val": "./train.txt"}) == {"train val"}
    assert found(LISTS, f=one | {"list": "test.txt", "path": "corrupted"}) == set()


@pytest.mark.parametrize(
    ("choice", "other", "shared"),
    [
        ({"labels": [1, 2]}, {"labels": [3]}, False),
        ({"labels": [1, 2]}, {"labels": [2, 3]}, True),
        ({"labels": [1, 2]}, {"except_labels": [2, 1]}, False),
        ({"labels": [1, 2]}, {"except_labels": [2]}, True),
        ({"except_labels": [1]}, {"except_labels": [2]}, True),
        ({"labels": [1, 2], "except_labels": [2]}, {"labels": [2]}, False),
    ],
)
def test_labels_of_one_list(choice: dict[str, object], other: dict[str, object], shared: bool) -> None:
    one = {"kind": "imglist", "path": "root", "list": "f.txt"}
    assert found(LISTS, f=one | choice, g=one | other) == ({"f g"} if shared else set())
    assert found(LISTS, f=one | other, g=one | choice) == ({"f g"} if shared else set())


def test_splits_of_one_manifest() -> None:
    one = {"kind": "manifest", "path": "linked/table.csv"}
    assert found(MANIFEST, f=one) == WITH_ID
    assert found(MANIFEST, f=one | {"split": "test"}) == {"test f"}
    assert found(MANIFEST, f=one | {"split": "ood"}, g=one | {"split": "more"}) == set()
    assert found(FOLDERS, f=one, g=one | {"split": "more"}) == {"f g"}


def test_splits_of_one_layout() -> None:
    Path("c/cifar-10-batches-py").mkdir()
    inside = {"kind": "cifar10", "path": "c/cifar-10-batches-py"}
    assert found(CIFAR, f=inside) == {"val f", "test f"}
    assert found(CIFAR, f=inside | {"split": "train"}) == {"train f"}
    assert found(FOLDERS, f=inside | {"split": "train"}, g=CIFAR) == set()
    assert found(CIFAR, f={"kind": "cifar100", "path": "c"}) == set()


def test_what_a_seed_draws_is_told_by_the_seed() -> None:
    noise = {"kind": "noise", "images": 3}
    assert found(FOLDERS, f=noise, g=noise | {"images": 4}) == {"f g"}
    assert found(FOLDERS, f=noise, g=noise | {"seed": 1}, h={"kind": "textures", "images": 3}) == set()


def test_the_configuration_is_refused_in_a_sentence(demo: dict[str, object]) -> None:
    raw = json.loads(json.dumps(demo))
    dataset = raw["datasets"]["digits"]
    dataset["far"] = {name: {"kind": "folders", "path": p} for name, p in (("a", "id/[31m/.."), ("b", "linked"))}
    with pytest.raises(SynthoodError) as caught:
        load(raw)
    assert str(caught.value) == (
        "config: datasets.digits: a and b share images, since both are made from 'id/[31m/..'; take others "
        "for one of them, or allow it by `allow_overlap: [{parts: [a, b]}]`"
    )
    dataset["allow_overlap"] = [{"parts": ["b", "a"]}]
    assert load(raw).datasets["digits"].allow_overlap[0].images is None
