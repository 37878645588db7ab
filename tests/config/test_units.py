"""A number that makes sense in another unit alone is refused with the right one; published values pass."""

import pytest

from synthood.config.load import load
from synthood.errors import SynthoodError

CHECKPOINT = {"kind": "checkpoint", "path": "a.pt", "network": {"name": "resnet20"}}
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
NPOS = {"contrastive": {"kind": "npos", "queue": 60, "k": 10, "boundary_points": 20}}
FILTER = {"classifier": "ce", "attempts_per_class": 500}
PERCENT = "expected percent, not a share: 90 for 90 %, not 0.9"
PIXELS = "expected pixels in [0,1]; divide by 255 what is in 0 to 255"
STEPS = "expected a share of the steps below 1, not epochs: 0.05 for 5 of 100 epochs"

WRONG = [
    ("detectors/react/percentile", 0.9, f": {PERCENT}, got 0.9"),
    ("detectors/react/percentile", [85, 0.95], f": {PERCENT}, got 0.95"),
    ("detectors/own", {"kind": "ash", "percentile": 0.65}, f".percentile: {PERCENT}, got 0.65"),
    ("detectors/own", {"kind": "scale", "percentile": 0.85}, f".percentile: {PERCENT}, got 0.85"),
    ("detectors/own", {"kind": "dice", "percentile": 0.9}, f".percentile: {PERCENT}, got 0.9"),
    ("detectors/own", {"kind": "vra", "low": 0.1}, f".low: {PERCENT}, got 0.1"),
    ("detectors/own", {"kind": "vra", "high": 0.9}, f".high: {PERCENT}, got 0.9"),
    ("detectors/own", {"kind": "adascale", "low": 0.75}, f".low: {PERCENT}, got 0.75"),
    ("detectors/own", {"kind": "adascale", "high": 0.85}, f".high: {PERCENT}, got 0.85"),
    ("detectors/own", {"kind": "adascale", "strongest": 0.05}, f".strongest: {PERCENT}, got 0.05"),
    ("detectors/own", {"kind": "adascale", "shifting": 0.01}, f".shifting: {PERCENT}, got 0.01"),
    ("outliers/oal/gate/percentile", 0.75, f": {PERCENT}, got 0.75"),
    (
        "generators/biggan/filter",
        FILTER | {"copy_percentile": 0.01},
        ".copy_percentile: expected percent, not a share: 1 for 1 %, not 0.01; 0, or from 0.1, got 0.01",
    ),
    ("detectors/own", {"kind": "odin", "noise": 0.36}, ".noise: expected at most 0.1 of the pixels' range [0,1]; "
     "divide 0 to 255 by 255, got 0.36"),
    ("detectors/own", {"kind": "lts", "share": 5}, "a share, 0.05 for 5 %)"),
    ("detectors/own", {"kind": "nnguide", "share": 10}, "a share, 0.1 for 10 %)"),
    ("detectors/own", {"kind": "adascale", "pixels": 5}, "a share, 0.05 for 5 %)"),
    ("recipes/own", CHECKPOINT | IMAGENET | {"std": [63.0, 62.1, 66.7]}, f".std.0: {PIXELS}, got 63"),
    ("recipes/own", CHECKPOINT | IMAGENET | {"mean": [125.3, 123.0, 113.9]}, f".mean.0: {PIXELS}, got 125.3"),
    ("recipes/judge/warmup", 1, f": {STEPS}, got 1"),
    ("recipes/judge/warmup", 5, "got 5 (share of the steps with rising learning rate; a share, 0.05 for 5 %)"),
    ("recipes/judge/virtual_outliers", {"start": 1.0}, f".start: {STEPS}, got 1"),
    ("recipes/judge/virtual_outliers", {"start": 40}, "without them; a share, 0.4 for 40 %)"),
    ("recipes/judge/contrastive", NPOS["contrastive"] | {"start": 1}, f".start: {STEPS}, got 1"),
    ("recipes/judge/augmentation/shift", 0.1, "got 0.1 (pixels in each direction)"),
    ("recipes/judge/augmentation/cutout", 0.5, "got 0.5 (side of the square that is erased, in pixels)"),
    ("recipes/sio-sd/synthetic/alpha", 80, "a share, 0.8 for 80 %)"),
    ("recipes/judge/dropout", 30, "got 30 (of features before the last layer; a share, 0.3 for 30 %)"),
    ("tables/demo-sio/confidence", 95, "got 95 (of the intervals; a share, 0.95 for 95 %)"),
    ("datasets/digits/id/nuisance/rotation", 0.17, ": expected degrees, not radians: 10, not 0.17, got 0.17"),
    ("datasets/digits/id/nuisance/scale", [85, 110], ".scale.0: expected a factor, not percent: 1.1, not 110, got 85"),
    ("datasets/digits/id/nuisance/contrast", [0.7, 100], ": expected a factor, not percent: 1.1, not 110, got 100"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "expected"), WRONG, ids=[f"{p}={v}"[:70] for p, v, _ in WRONG])
def test_a_number_in_another_unit_is_told_the_right_one(edited, demo, path, value, expected):
    place = demo
    for step in path.split("/")[:-1]:
        place = place.setdefault(step, {})
    place[path.split("/")[-1]] = {"like": "ce"} | value if path == "recipes/judge" else value
    with pytest.raises(SynthoodError) as caught:
        load(demo)
    lines = [line for line in str(caught.value).split("\n") if line.endswith(expected)]
    assert len(lines) == 1, str(caught.value)
    assert lines[0].startswith("config: " + path.replace("/", "."))


RIGHT = [
    *({"kind": kind, "percentile": value} for kind in ("react", "ash", "scale", "dice") for value in (1, 65, 99.5)),
    {"kind": "react", "percentile": 100},
    {"kind": "vra", "low": [0, 1, 5, 10, 15], "high": [85, 90, 95, 99]},
    {"kind": "adascale", "low": 60, "high": 99, "strongest": 5, "shifting": 1},
    *({"kind": kind, "noise": [0, 0.0005, 0.0014, 0.01]} for kind in ("odin", "iodin", "mds-ensemble")),
    {"kind": "lts", "share": 0.05},
]


@pytest.mark.parametrize("detector", RIGHT, ids=str)
def test_published_values_of_detectors_pass(edited, detector):
    assert load(edited({"detectors/own": detector})).detectors["own"].kind == detector["kind"]


@pytest.mark.parametrize("std", [[0.247, 0.2435, 0.2616], [0.5, 0.5, 0.5], [1, 1, 1], [1 / 255] * 3], ids=str)
def test_published_normalisations_pass(edited, std):
    recipe = CHECKPOINT | IMAGENET | {"std": std, "mean": [0, 0, 0]}
    assert load(edited({"recipes/own": recipe})).recipes["own"].std == std
