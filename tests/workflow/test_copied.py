"""Times of copied results."""

import json
import os
import time
from pathlib import Path

from synthood.workflow.copied import MARK, TIMESTAMP, leave_the_future, restore_times

FINISHED = "2026-01-02T03:04:05+0000"
SECONDS = 1767323045


def artefact(path: Path, finished: str = FINISHED) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    path.with_name(f"{path.name}.provenance.json").write_text(json.dumps({"finished": finished}))
    return path


def test_a_copy_has_the_times_of_its_jobs(tmp_path: Path) -> None:
    results = tmp_path / "results"
    one = artefact(results / "digits/images/train.safetensors")
    other = artefact(results / "tables/small.csv", "2026-01-02T04:04:06+0100")
    folder = results / "digits/generators/sd"
    (folder / "unet").mkdir(parents=True)
    (folder / TIMESTAMP).touch()
    (folder.parent / "sd.provenance.json").write_text(json.dumps({"finished": FINISHED}))
    broken = artefact(results / "tables/broken.csv", "yesterday")
    assert restore_times(results) == 3
    assert [path.stat().st_mtime for path in (one, other, folder / TIMESTAMP, folder)] == [
        SECONDS,
        SECONDS + 1,
        SECONDS,
        SECONDS,
    ]
    assert broken.stat().st_mtime > time.time() - 1000
    assert (results / MARK).is_file()


def test_in_its_own_place_times_stay(tmp_path: Path) -> None:
    results = tmp_path / "results"
    path = artefact(results / "a.csv")
    restore_times(results)
    path.touch()
    touched = path.stat().st_mtime
    assert restore_times(results) == 0
    assert path.stat().st_mtime == touched
    moved = results.rename(tmp_path / "moved")
    assert restore_times(moved) == 1
    assert (moved / "a.csv").stat().st_mtime == SECONDS


def test_what_was_made_after_its_inputs_is_not_older_than_they(tmp_path: Path) -> None:
    """Snakemake looks at files when a job has ended, up to a second after what its record says."""
    of, made = (artefact(tmp_path / "results" / name) for name in ("a.csv", "b.csv"))
    for path, after in ((of, 0.9), (made, 1.4)):
        os.utime(path, (SECONDS + after, SECONDS + after))
    assert restore_times(tmp_path / "results") == 2
    assert of.stat().st_mtime <= made.stat().st_mtime


def test_what_is_of_the_future_is_of_now(tmp_path: Path) -> None:
    """As after a clock that was ahead: what is made from it would seem older."""
    ahead, old, folder = tmp_path / "ahead", tmp_path / "old", tmp_path / "folder"
    folder.mkdir()
    for path in (ahead, old, folder / TIMESTAMP):
        path.touch()
    tomorrow = time.time() + 86400
    for path, seconds in ((ahead, tomorrow), (folder / TIMESTAMP, tomorrow), (folder, SECONDS), (old, SECONDS)):
        os.utime(path, (seconds, seconds))
    assert leave_the_future(tmp_path, [old, tmp_path / "missing"]) == 0
    assert ahead.stat().st_mtime == tomorrow
    assert leave_the_future(tmp_path, [old, folder]) == 2
    assert ahead.stat().st_mtime == (folder / TIMESTAMP).stat().st_mtime <= time.time()
    assert old.stat().st_mtime == folder.stat().st_mtime == SECONDS
    assert leave_the_future(tmp_path, [ahead, folder]) == 0
