"""Sharing out: every image once, class by class, and each class on its own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthood.data.files.listing import Listing, id_listing, same_classes, share_out
from synthood.data.selection import Selection
from synthood.data.sources.folders import IdFolders
from synthood.errors import SynthoodError

LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=60).map(lambda labels: np.array(labels, np.int64))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(LABELS, st.integers(0, 3), st.integers(0, 3), st.integers(0, 5))
def test_shares_part_the_images_with_the_numbers_asked_for(labels, first, second, seed):
    asked = {}

    def takes(label, members):
        asked[label] = [min(first, members), min(second, members - min(first, members))]
        return asked[label]

    shares = share_out(labels, takes, seed)
    assert sorted(np.concatenate(shares).tolist()) == list(range(len(labels)))
    assert all((np.diff(share) > 0).all() for share in shares)
    for label, numbers in asked.items():
        assert [int((labels[share] == label).sum()) for share in shares[:2]] == numbers
    again = share_out(labels, takes, seed)
    assert all((a == b).all() for a, b in zip(shares, again, strict=True))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(LABELS, st.integers(0, 5))
def test_a_classs_draw_does_not_depend_on_the_others(labels, seed):
    chosen = share_out(labels, lambda _, members: [members // 2], seed)[0]
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        alone = share_out(np.full(len(members), label), lambda _, count: [count // 2], seed)[0]
        assert members[alone].tolist() == chosen[labels[chosen] == label].tolist()


def listing(labels: list[int]) -> Listing:
    pixels = np.arange(len(labels) * 3, dtype=np.uint8).reshape(-1, 1, 1, 3)
    return Listing(pixels, np.array(labels, np.int64), ["a", "b"], "the folder")


def test_what_is_there_is_taken_and_what_is_not_is_drawn():
    shares = IdFolders(kind="folders", path=".")
    splits = {"train": lambda: listing([0, 1]), "test": lambda: listing([0, 1] * 20)}
    assert [len(id_listing(splits, Selection(part=part), shares)) for part in ("train", "val", "test")] == [2, 4, 36]
    splits["val"] = lambda: listing([1, 0, 0])
    assert [len(id_listing(splits, Selection(part=part), shares)) for part in ("train", "val", "test")] == [2, 3, 40]
    whole = {"all": lambda: listing([0, 1] * 20)}
    assert [len(id_listing(whole, Selection(part=part), shares)) for part in ("train", "val", "test")] == [32, 4, 4]


@pytest.mark.parametrize(("labels", "found"), [([0, 0, 1], "2 images of a"), ([0] * 3 + [1] * 2, "2 images of b")])
def test_a_class_that_is_too_small_to_share_is_named(labels, found):
    with pytest.raises(SynthoodError, match=f"^the folder: {found}, at least 3 are needed"):
        id_listing({"all": lambda: listing(labels)}, Selection(part="train"), IdFolders(kind="folders", path="."))


def test_labels_follow_the_order_of_the_classes():
    turned = same_classes(listing([0, 1, 1]), ["b", "z", "a"], "the others")
    assert (turned.labels.tolist(), turned.classes) == ([2, 0, 0], ["b", "z", "a"])
    with pytest.raises(SynthoodError, match="the folder: class 'b' is not among the classes of the others"):
        same_classes(listing([0]), ["a"], "the others")
