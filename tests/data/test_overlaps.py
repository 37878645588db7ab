"""Images that parts share: counted, named, refused, allowed or dropped."""

import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from synthood.common.images import ImageSet, write_images
from synthood.common.names import Names
from synthood.data import overlaps
from synthood.data.overlaps import Part, overlap

POOL = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3), dtype=np.uint8)
PLACES = {
    "train": [*range(20), 3],
    "val": range(20, 25),
    "test": [25, 7, 26, 7, 11],
    "near": range(30, 35),
    "far": [40, 31, 3, 41],
    "more": [50, 51],
    "other": [51, 50, 40],
}
"""Of the pool; `more` and `other` are extra sets. test has two different images of train, far one of train and near."""


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    for part, places in PLACES.items():
        made = ImageSet.out_of_distribution(POOL[list(places)])
        made.names = Names.of([f"ü {place}\n.png" for place in places]) if part in ("train", "near") else None
        write_images(tmp_path / f"{part}.safetensors", made)
    return [str(tmp_path / f"{part}.safetensors") for part in PLACES]


def run(files: list[str], **settings: object) -> tuple[str, pd.DataFrame]:
    """The refusal and the table."""
    outputs = [Path(files[0]).parent / name for name in ("overlaps.csv", "refused.txt")]
    asked = {"dataset": "mine", "extra": ["more", "other"], **settings}
    overlaps.main(["--settings", json.dumps(asked), "--images", *files, "--output", *map(str, outputs)])
    return outputs[1].read_text(), pd.read_csv(outputs[0])


def allowed(*entries: str) -> list[dict[str, object]]:
    """From `one other` or `one other count`."""
    split = [entry.split() for entry in entries]
    return [{"parts": words[:2]} | ({"images": int(words[2])} if len(words) > 2 else {}) for words in split]


def test_parts_that_share_images_are_refused_in_one_sentence(
    files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    refused, _ = run(files)
    told = capsys.readouterr()
    assert refused == (
        r"error: datasets.mine: train and test share 2 images with identical pixels (train/7 ('ü 7\n.png') = test/1, "
        r"train/11 ('ü 11\n.png') = test/4); train and far share 1; near and far share 1; 1 more pairs are in the "
        "log; take them out of one of the parts, drop them by `leaks: {drop: true}`, or allow them by "
        "`allow_overlap: [{parts: [train, test], images: 2}, {parts: [train, far], images: 1}, "
        "{parts: [near, far], images: 1}, {parts: [far, other], images: 1}]`\n"
    )
    assert "note: 1 of the 21 images of train repeat another one of it" in told.out
    assert "note: 1 of the 5 images of test repeat another one of it" in told.out
    assert r"near and far share 1 images (allowed: 0): near/1 ('ü 31\n.png') = far/1" in told.out
    assert refused in told.out


def test_what_is_allowed_passes_and_is_written_down(files: list[str]) -> None:
    refused, table = run(files, allowed=allowed("test train 2", "train far", "near far 3", "far other 1"))
    assert refused == ""
    assert len(table) == 7 * 6 // 2 - 1
    shared = table[table["shared"] > 0].to_numpy().tolist()
    assert shared == [
        ["train", "test", 2, "2"],
        ["train", "far", 1, "any"],
        ["near", "far", 1, "3"],
        ["far", "other", 1, "1"],
    ]
    assert set(table[table["shared"] == 0]["allowed"]) == {"0"}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (("train test 1", "train far", "near far", "far other"), "train and test share 2 images"),
        (("train test", "train far", "near far"), "far and other share 1 images"),
    ],
)
def test_more_than_is_allowed_is_refused(files: list[str], entries: tuple[str, ...], message: str) -> None:
    assert message in run(files, allowed=allowed(*entries))[0]


def test_dropping_helps_evaluated_parts_against_id_parts_alone(
    files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    refused, _ = run(files, drop=True)
    assert "near and far share 1 images with identical pixels" in refused
    assert "train" not in refused
    assert "`leaks" not in refused
    assert "train and test share 2 images (allowed: dropped)" in capsys.readouterr().out
    refused, table = run(files, drop=True, allowed=allowed("near far", "far other"))
    assert refused == ""
    by_pair = table.set_index(["part", "other"])["allowed"]
    assert by_pair[("train", "test")] == by_pair[("train", "far")] == by_pair[("val", "near")] == "dropped"
    assert by_pair[("train", "val")] == by_pair[("train", "more")] == "0"


def test_many_images_are_compared_within_seconds() -> None:
    draw = np.random.default_rng(0)
    digests = draw.integers(0, 256, (10**5, 32), dtype=np.uint8)
    small = np.concatenate([draw.integers(0, 256, (10**4, 32), dtype=np.uint8), digests[[99_999, 5]]])
    began = time.process_time()
    parts = []
    for name, one in (("train", digests), ("test", small)):
        distinct, places = np.unique(one.view("V32").ravel(), return_index=True)
        parts.append(Part(name, len(one), distinct, places, None))
    found = overlap(*parts)
    assert time.process_time() - began < 5
    assert (found.places.tolist(), found.other_places.tolist()) == ([5, 99_999], [10_001, 10_000])
