"""Whatever goes wrong with images and exported folders in production is refused or reported."""

import csv
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import synthood
from synthood.cli import main
from synthood.common.identity import FORMAT as IDENTITY_FORMAT
from synthood.common.identity import seal
from synthood.common.images import pixel_sha256
from synthood.data.overlap_settings import OverlapSettings, refusal
from synthood.data.overlaps import Part, compared
from synthood.deploy import inputs
from synthood.deploy.export import export, split_calibrated
from synthood.deploy.extras import Extras, plain
from synthood.deploy.inputs import Preprocessing
from synthood.deploy.predictor import Predictor
from synthood.deploy.score import ScoreOptions, score
from synthood.errors import SynthoodError
from synthood.evaluation.detectors.logits import Energy
from synthood.evaluation.features import Reference
from toy_models import classifier, pictures

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place, model, own = tmp_path_factory.mktemp("bad") / "detector", classifier(), pictures(60, 3)
    features = plain(model, own.images, CPU)
    head = model.network.head
    fitted = Energy().fit(Reference(features, features, head.weight.detach(), head.bias.detach()))
    digests = pixel_sha256(own.images)
    export(place, model, split_calibrated(fitted, features), Preprocessing(16, 16), (0.1,), digests=digests)
    return place


@pytest.fixture(scope="module")
def predictor(folder: Path) -> Predictor:
    return synthood.load(folder)


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(folder, tmp_path / "copy")
    return tmp_path / "copy"


def saved(image: Image.Image, path: Path, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def picture(seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (16, 16, 3), np.uint8))


def content(form: str, **options: object) -> bytes:
    picture().save(stream := io.BytesIO(), form, **options)
    return stream.getvalue()


BAD: dict[str, tuple[bytes, str]] = {
    "cut.jpg": (content("JPEG")[:300], "truncated or damaged"),
    "cut.png": (content("PNG")[:150], "truncated or damaged"),
    "zeros.png": (content("PNG")[:60] + bytes(200), "truncated or damaged"),
    "empty.png": (b"", "an empty file"),
    "text.png": (b"not an image at all", "not an image file"),
    "page.jpg": (b"<html><body>404</body></html>", "not an image file"),
    "archive.png": (b"PK\x03\x04" + bytes(60), "not an image file"),
    "moving.gif": (content("GIF", save_all=True, append_images=[picture(1)]), "2 frames"),
    "moving.webp": (content("WEBP", save_all=True, append_images=[picture(1)], lossless=True), "2 frames"),
    "moving.png": (content("PNG", save_all=True, append_images=[picture(1)]), "2 frames"),
    "pages.tif": (content("TIFF", save_all=True, append_images=[picture(1)]), "2 frames"),
}


def test_bad_files_are_rows_with_a_reason_and_the_good_ones_are_scored(predictor: Predictor, tmp_path: Path) -> None:
    for name, (text, _) in BAD.items():
        (tmp_path / name).write_bytes(text)
    good = saved(picture(), tmp_path / "good.png")
    table = predictor.predict(tmp_path).set_index("path")
    assert len(table) == len(BAD) + 1
    for name, (_, reason) in BAD.items():
        row = table.loc[str(tmp_path / name)]
        assert row["error"].startswith(reason), name
        assert pd.isna(row["is_ood"])
        assert (row["label"], row["note"]) == ("", "")
        assert np.isnan(row[["probability", "confidence", "p_value"]].astype(float)).all()
    alone = predictor.predict(good).iloc[0]
    assert table.loc[str(good), "label"] == alone["label"]
    assert table.loc[str(good), "confidence"] == pytest.approx(alone["confidence"], rel=1e-4)


def test_huge_files_are_not_read(predictor: Predictor, tmp_path: Path) -> None:
    with (tmp_path / "huge.png").open("wb") as stream:
        stream.truncate(inputs.LARGEST_FILE + 1)  # sparse: takes no space
    (row,) = predictor.predict(tmp_path / "huge.png").itertuples()
    assert row.error == "more than 1 GiB"
    wide = saved(Image.new("1", (100_000, 1_000)), tmp_path / "wide.png")
    (row,) = predictor.predict(wide).itertuples()
    assert "more than 89 megapixels" in row.error


def test_what_is_no_regular_file_is_not_waited_for(predictor: Predictor, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "nowhere.png")
    table = predictor.predict([tmp_path / "pipe.png", Path("/dev/zero"), tmp_path / "link.png", Path("a\0b.png")])
    assert table["error"].tolist() == ["not a regular file", "not a regular file", "not found", "embedded null byte"]
    table = predictor.predict(tmp_path)
    assert table["error"].tolist() == ["not found", "not a regular file"]


NAMES = ["ünï 図.png", " .png", "-rf.png", "a;b&c$(d).png", "line\nbreak.png", "tab\t,\"quote'.png", "%2e%2e%2fx.png"]


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_any_name_is_a_row_and_stays_in_its_folder(form: str, folder: Path, tmp_path: Path) -> None:
    names = [*NAMES, os.fsdecode(b"not \xff utf-8.png")]
    for seed, name in enumerate(names):
        saved(picture(seed), tmp_path / "images" / name, format="PNG")
    output = tmp_path / "out" / f"table.{form}"
    options = ScoreOptions(form=form, output=output, copy_unknown=tmp_path / "copies")  # type: ignore[arg-type]
    assert score(folder, [str(tmp_path / "images")], options) == 0
    if form == "csv":
        text = output.read_text(encoding="utf-8", errors="surrogateescape")
        rows = [row["path"] for row in csv.DictReader(io.StringIO(text, newline=""))]
    elif form == "jsonl":
        rows = [json.loads(line)["path"] for line in output.read_text().splitlines()]
    else:
        rows = pd.read_parquet(output)["path"].tolist()
    expected = [str(tmp_path / "images" / name) for name in names]
    if form == "parquet":
        expected = [name.encode(errors="backslashreplace").decode() for name in expected]
    assert sorted(rows) == sorted(expected)
    outside = {path.name for path in tmp_path.iterdir()}
    assert outside <= {"images", "out", "copies"}


@pytest.mark.parametrize(
    ("mode", "note"),
    [("L", "grey to RGB"), ("RGBA", "alpha dropped"), ("P", "P to RGB"), ("1", "grey to RGB"), ("LA", "grey to RGB")],
)
def test_other_modes_and_sizes_are_converted_and_reported(
    mode: str, note: str, predictor: Predictor, tmp_path: Path
) -> None:
    image = picture().resize((40, 24)).convert(mode)
    table = predictor.predict([saved(image, tmp_path / "a.png"), image])
    assert (table["error"] == "").all()
    assert all(text.startswith("40x24 px resized") and note in text for text in table["note"])
    assert table["confidence"].nunique() == 1


def test_an_empty_folder_is_an_error_everywhere(
    folder: Path, predictor: Predictor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    calls: list[Callable[[], object]] = [
        lambda: predictor.predict(tmp_path / "empty"),
        lambda: score(folder, [str(tmp_path / "empty")], ScoreOptions()),
        lambda: score(folder, [], ScoreOptions()),
    ]
    for call in calls:
        with pytest.raises(SynthoodError, match="no images"):
            call()
    with pytest.raises(SystemExit):
        main(["evaluate", str(folder), "--id", str(tmp_path / "empty")])
    assert "no images below it" in capsys.readouterr().err


def again_sealed(place: Path, **facts: object) -> None:
    """Another version's folder: other facts, whole in itself."""
    written = json.loads((place / "detector.json").read_text()) | facts
    (place / "detector.json").write_text(json.dumps(written))
    (place / "identity.json").unlink()
    seal(place, place, {"format": IDENTITY_FORMAT, "stage": "export"})


def test_a_newer_format_is_refused_and_says_what_to_do(copy: Path) -> None:
    again_sealed(copy, format=3, versions={"synthood": "9.1"})
    with pytest.raises(SynthoodError, match=r"of format 3, written by synthood 9\.1; this version reads up to 2; upd"):
        synthood.load(copy)


def test_other_library_versions_are_warned_of(copy: Path, folder: Path) -> None:
    versions = json.loads((copy / "detector.json").read_text())["versions"]
    assert set(versions) == {"synthood", "torch", "numpy", "pillow"}
    again_sealed(copy, versions=versions | {"torch": "1.0", "pillow": "2.0"})
    with pytest.warns(UserWarning, match=r"written with torch 1\.0 \(here .*pillow 2\.0 \(here .*scores may differ"):
        found = synthood.load(copy)
    image = pictures(9, 1).images
    assert found.predict(image).equals(synthood.load(folder).predict(image))


def test_a_missing_or_added_file_is_refused(copy: Path) -> None:
    (copy / "more.safetensors").write_bytes(b"x")
    with pytest.raises(SynthoodError, match="changed since it was written"):
        synthood.load(copy)
    (copy / "more.safetensors").unlink()
    synthood.load(copy)
    for name in ("model.safetensors", "state-0.safetensors", "identity.json", "detector.json"):
        text = (copy / name).read_bytes()
        (copy / name).unlink()
        with pytest.raises(SynthoodError):
            synthood.load(copy)
        (copy / name).write_bytes(text)


def test_calibration_images_that_serve_something_else_are_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = pixel_sha256(pictures(60, 3).images)
    shared = compared([Part.of("train", own[:5]), Part.of("calibration", own)], [])
    text = refusal(shared, OverlapSettings(dataset="d"))
    assert text.startswith("datasets.d: train and calibration share 5 images with identical pixels")
    for index, image in enumerate(pictures(60, 3).images[:4]):
        saved(Image.fromarray(image), tmp_path / "known" / f"{index}.png")
    with pytest.raises(SystemExit):
        main(["evaluate", str(folder), "--id", str(tmp_path / "known")])
    assert "4 of 4 images are calibration images" in capsys.readouterr().err


def test_without_any_ood_set_the_card_says_what_is_unknown(folder: Path, tmp_path: Path) -> None:
    assert (
        "Nothing: accuracy, false alarms and detection of unknown images are unknown."
        in (folder / "README.md").read_text()
    )
    for index, image in enumerate(pictures(12, 8).images):
        saved(Image.fromarray(image), tmp_path / "known" / "a" / f"{index}.png")
    main(["evaluate", str(folder), "--id", str(tmp_path / "known"), "--json", str(tmp_path / "found.json")])
    assert json.loads((tmp_path / "found.json").read_text())["ood"] == {}


def test_too_few_images_of_a_class_are_judged_with_the_other_classes(tmp_path: Path) -> None:
    model, own = classifier(), pictures(400, 5)
    features = plain(model, own.images, CPU)
    calibrated = split_calibrated(Energy().restored({}), features)
    few = np.repeat([0, 1, 2], [300, 4, 3])
    made = export(tmp_path / "few", model, calibrated, Preprocessing(16, 16), (0.1,), few, extras=Extras())
    assert made.calibration.groups[1] == made.calibration.groups[2] == 0
    assert {one["group"] for one in made.facts["thresholds"]} <= {"a", "other classes", "all classes"}
