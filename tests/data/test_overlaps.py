"""Images that parts share: counted, named, refused, allowed or dropped."""

import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from synthood.common.artefact import provenance_path
from synthood.common.images import ImageSet, read_images, write_images
from synthood.common.names import Names
from synthood.data import overlap_guard, overlaps
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


def run(files: list[str], *options: str, **settings: object) -> Path:
    """The table of the comparison."""
    output = Path(files[0]).parent / "overlaps.csv"
    asked = {"dataset": "mine", "extra": ["more", "other"], **settings}
    overlaps.main(["--settings", json.dumps(asked), "--images", *files, "--output", str(output), *options])
    return output


def refused(capsys: pytest.CaptureFixture[str], files: list[str], **settings: object) -> tuple[str, str]:
    """The error and the log of a comparison that fails."""
    with pytest.raises(SystemExit):
        run(files, **settings)
    told = capsys.readouterr()
    return told.err, told.out


def allowed(*entries: str) -> list[dict[str, object]]:
    """From `one other` or `one other count`."""
    split = [entry.split() for entry in entries]
    return [{"parts": words[:2]} | ({"images": int(words[2])} if len(words) > 2 else {}) for words in split]


def test_parts_that_share_images_are_refused_in_one_sentence(
    files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    error, log = refused(capsys, files)
    assert error == (
        r"error: datasets.mine: train and test share 2 images with identical pixels (train/7 ('ü 7\n.png') = test/1, "
        r"train/11 ('ü 11\n.png') = test/4); train and far share 1; near and far share 1; 1 more pairs are in the "
        "log; take them out of one of the parts, drop them by `leaks: {drop: true}`, or allow them by "
        "`allow_overlap: [{parts: [train, test], images: 2}, {parts: [train, far], images: 1}, "
        "{parts: [near, far], images: 1}, {parts: [far, other], images: 1}]`\n"
    )
    assert "note: 1 of the 21 images of train repeat another one of it" in log
    assert "note: 1 of the 5 images of test repeat another one of it" in log
    assert r"near and far share 1 images (allowed: 0): near/1 ('ü 31\n.png') = far/1" in log
    assert not (Path(files[0]).parent / "overlaps.csv").exists()


ALLOWED = ("test train 2", "train far", "near far 3", "far other 1")


def test_what_is_allowed_passes_and_is_counted(files: list[str]) -> None:
    table = pd.read_csv(run(files, allowed=allowed(*ALLOWED)))
    assert len(table) == 7 * 6 // 2 - 1
    shared = table[table["shared"] > 0].to_numpy().tolist()
    assert [row[:3] for row in shared] == [
        ["train", "test", 2],
        ["train", "far", 1],
        ["near", "far", 1],
        ["far", "other", 1],
    ]
    assert shared[3][3] == "far/0 = other/2"


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (("train test 1", *ALLOWED[1:]), "train and test share 2 images"),
        (("train test", *ALLOWED[1:3]), "far and other share 1 images"),
    ],
)
def test_more_than_is_allowed_is_refused(
    files: list[str], capsys: pytest.CaptureFixture[str], entries: tuple[str, ...], message: str
) -> None:
    assert message in refused(capsys, files, allowed=allowed(*entries))[0]


def test_dropping_helps_evaluated_parts_against_id_parts_alone(
    files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    error, log = refused(capsys, files, drop=True)
    assert "near and far share 1 images with identical pixels" in error
    assert "train" not in error
    assert "`leaks" not in error
    assert "train and test share 2 images (allowed: dropped)" in log
    run(files, drop=True, allowed=allowed("near far", "far other"))
    train = read_images(Path(files[0]))
    write_images(Path(files[1]), ImageSet.out_of_distribution(train.images[:1]))
    error, _ = refused(capsys, files, drop=True, allowed=allowed("near far", "far other"))
    assert "train and val share 1 images with identical pixels" in error


@pytest.mark.parametrize(
    ("settings", "code"), [({}, 1), ({"drop": True}, 0), ({"allowed": allowed("train test 2")}, 0)]
)
def test_what_learns_is_guarded_by_what_is_allowed_now(
    files: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, object],
    code: int,
) -> None:
    table = run(files[:3], "--count-only")
    monkeypatch.setenv(overlap_guard.ALLOWED, json.dumps({"mine": {"dataset": "mine", **settings}}))
    assert overlap_guard.main(["mine", str(table)]) == code
    error = capsys.readouterr().err
    assert error.startswith("error: datasets.mine: train and test share 2 images" if code else "")
    assert bool(error) == bool(code)


def test_modules_with_datasets_of_one_name_are_guarded_by_what_each_allows(
    files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = run(files[:3], "--count-only")
    settings = {
        "first/mine": {"dataset": "mine"},
        "my-results/mine": {"dataset": "mine", "allowed": allowed("train test 2")},
        "mine": {"dataset": "mine", "allowed": allowed("train test 2")},
    }
    monkeypatch.setenv(overlap_guard.ALLOWED, json.dumps(settings))
    monkeypatch.chdir(tmp_path)
    copies = ".snakemake/storage/s3/bucket/"  # of results in storage
    places = ("first/", 1), ("my-results/", 0), (f"{copies}first/", 1), (f"{copies}my-results/", 0), (copies, 0)
    for prefix, code in places:
        place = Path(f"{prefix}results/mine/overlaps_id.csv")
        place.parent.mkdir(parents=True)
        for source, target in ((table, place), (provenance_path(table), provenance_path(place))):
            target.write_bytes(source.read_bytes())
        assert overlap_guard.main(["mine", str(place)]) == code


def test_a_changed_comparison_lets_nothing_learn(
    files: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = run(files[:3], "--count-only")
    monkeypatch.setenv(overlap_guard.ALLOWED, json.dumps({"mine": {"dataset": "mine"}}))
    table.write_text(table.read_text().replace("test,2,", "test,0,"))
    assert overlap_guard.main(["mine", str(table)]) == 1
    assert capsys.readouterr().err.startswith(f"error: {table}: truncated or changed since it was written (")


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
    assert (found.count, found.examples) == (2, "train/5 = test/10001, train/99999 = test/10000")


def test_parts_of_two_sizes_are_refused(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    write_images(Path(files[4]), ImageSet.out_of_distribution(np.zeros((3, 16, 16, 3), np.uint8)))
    error, _ = refused(capsys, files)
    assert f"{files[4]}: images of 16x16 px, but {files[0]} has images of 8x8 px" in error
