"""The table's note on sets that may be detected for another reason than their content."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from command_lines import writing
from synthood.common.identity import FORMAT, seal
from synthood.common.image_facts import ImageFacts
from synthood.common.images import ImageSet, write_images
from synthood.reporting import tabulate
from synthood.reporting.image_notes import image_notes
from synthood.reporting.settings import TableSettings, TabulateSettings

COLOURS = np.random.default_rng(0).integers(0, 256, (40, 9, 9, 3), dtype=np.uint8)
GREY = np.repeat(COLOURS[..., :1], 3, axis=3)
NOTE = (
    "far differs from the ID images in native size (7 px against 9 px) and channels (grey against RGB): it may be "
    "detected for that reason."
)


def written(folder: Path, name: str, images: np.ndarray = COLOURS, side: int = 9, form: str = "PNG") -> Path:
    path = folder / f"{name}.safetensors"
    folder.mkdir(exist_ok=True)
    write_images(path, ImageSet.out_of_distribution(images, ImageFacts.of(images, side, form)))
    return path


def parts(folder: Path) -> list[Path]:
    return [written(folder, name) for name in ("train", "val", "test", "near")]


def test_each_dataset_has_a_note_on_its_sets_that_differ(tmp_path: Path) -> None:
    one, other, same = (parts(tmp_path / name) for name in ("one", "other", "same"))
    one.append(written(tmp_path / "one", "far", GREY, 7))
    written(tmp_path / "other", "val", form="JPEG")
    sets = [*one, *other, *same]
    assert image_notes(["one", "other", "same"], sets) == {
        "Images of one": NOTE,
        "Images of other": "val differs from the training images in format (JPEG against PNG): detectors may reject it "
        "for that reason.",
    }


def test_sets_without_facts_have_no_note(tmp_path: Path) -> None:
    files = parts(tmp_path)
    write_images(files[-1], ImageSet.out_of_distribution(GREY))
    assert image_notes(["one"], files) == {}
    assert image_notes(["one"], []) == {}


def test_the_table_shows_the_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    files = [*parts(tmp_path / "images"), written(tmp_path / "images", "far", GREY, 7)]
    random, names = np.random.default_rng(0), np.repeat(["test", "near", "far"], 6)
    scores = pd.DataFrame({"part": names, "label": 0, "prediction": 0, "msp": random.random(18).astype(np.float32)})
    scores.to_parquet(tmp_path / "scores.parquet")
    seal(tmp_path / "scores.parquet", tmp_path / "scores.parquet", {"format": FORMAT})
    table = TableSettings(
        datasets=["d"], recipes=["ce"], seeds=[0], detectors=["msp"], baselines=["ce"], columns=["auroc"], resamples=5
    )
    settings = TabulateSettings(table=table, near={"d": ["near"]}, far={"d": ["far"]})
    outputs = [
        str(tmp_path / f"t{suffix}")
        for suffix in (".csv", "-gains.csv", ".md", ".html", ".tex", "-wide.csv", "-leaderboard.csv")
    ]
    words = ["--settings", settings.canonical(), "--scores", str(tmp_path / "scores.parquet")]
    tabulate.main([*words, *writing(tabulate.main, outputs), "--images", *map(str, files)])
    for name in ("t.md", "t.html"):
        assert f"Images of d: {NOTE}" in (tmp_path / name).read_text()
