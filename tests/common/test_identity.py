"""What an artefact says of itself, and that nothing which is not as written, or not what it is named, is read."""

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pyarrow import parquet
from safetensors import safe_open

from synthood.common import stage
from synthood.common.artefact import place_of, provenance_path, verify
from synthood.common.command import Command, Output
from synthood.common.encoded import open_encoded, write_encoded
from synthood.common.identity import FORMAT, MANIFEST, read_record, sha256, visible_files
from synthood.common.images import ImageSet, read_facts, read_images, write_images
from synthood.common.tensors import read_tensors, write_tensors
from synthood.errors import SynthoodError
from synthood.evaluation.feature_files import FeatureFolder
from synthood.reporting.runs import read_scores

SCORES = pd.DataFrame({"part": ["test"] * 3, "index": [0, 1, 2], "msp": [0.5, 0.25, 1.0]})
PIXELS = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)


def write_folder(path):
    path.mkdir()
    write_tensors(path / "head.safetensors", {"weight": np.ones((2, 3), np.float32)}, {"part": "head"})
    (path / "paths").mkdir()
    (path / "paths" / "test.txt").write_text("a\n")


WRITERS = {
    "a.safetensors": lambda path: write_tensors(path, {"x": np.arange(40, dtype=np.float32)}, {"classes": ["ä"]}),
    "i.safetensors": lambda path: write_images(path, ImageSet(PIXELS, np.array([0, 1, -1]), ["a", "b"])),
    "e.safetensors": lambda path: write_encoded(
        path, PIXELS, 1, lambda: (np.array([0, 1, -1]), {"classes": ["a", "b"]})
    ),
    "a.parquet": lambda path: SCORES.to_parquet(path, index=False),
    "a.png": lambda path: Image.fromarray(PIXELS[0]).save(path, "PNG"),
    "a": write_folder,
    "a.csv": lambda path: path.write_text("epoch,loss\n0,1.5\n"),
    "a.json": lambda path: path.write_text('{"a": 1}\n'),
}
READERS = {
    "i.safetensors": read_images,
    "e.safetensors": open_encoded,
    "a.safetensors": read_tensors,
    "a.parquet": read_scores,
    "a": FeatureFolder,
}
INSIDE = [name for name in WRITERS if Path(name).suffix not in (".csv", ".json")]


def a_stage(job: stage.Job, threads: int, output: Output, inputs: Sequence[Path] = (), seed: int = 0) -> None:
    """The signature of the jobs here."""


def make(path, settings='{"seed":0}', inputs=(), work="train", words=()):
    """A job of its own that writes one artefact."""
    arguments = [*words, "--settings", settings, "--output", str(path), "--inputs", *map(str, inputs)]
    with stage.Job(work, Command(a_stage).parse(arguments)).writing(path) as temporary:
        WRITERS[path.name](temporary)
    return path


def read(path):
    return READERS.get(path.name, lambda one: verify(one, ours=True))(path)


def content_of(path):
    files = visible_files(path) if path.is_dir() else [path]
    return {file.relative_to(path.parent).as_posix(): file.read_bytes() for file in files}


@pytest.mark.parametrize("name", WRITERS)
def test_an_artefact_says_what_it_is_and_its_bytes_are_a_function_of_the_job(tmp_path, name):
    source = make(tmp_path / "in" / "a.csv")
    first = make(tmp_path / "results" / "digits" / name, inputs=[source])
    again = make(tmp_path / "elsewhere" / "results" / "digits" / name, inputs=[source])
    assert content_of(first) == content_of(again)
    assert verify(first) == verify(again)
    if name in INSIDE:
        record = read_record(first)
        assert (record["format"], record["stage"], record["place"]) == (FORMAT, "train", f"digits/{name}")
        assert record["sha256"] == verify(first)
        records = [record, read_record(make(first, '{"seed":1}')), read_record(make(first, inputs=[source, source]))]
        assert len({one["settings"] for one in records}) == 2
        more = read_record(make(first, words=["--threads", "2", "--seed", "7"]))
        assert read_record(make(first, words=["--threads", "3", "--seed", "7"])) == more
        assert more["settings"] not in {one["settings"] for one in records}
        assert len({one["inputs"].get("inputs") for one in records}) == 3
    else:
        assert first.read_bytes() == make(first, '{"seed":1}').read_bytes()
    facts = json.loads(provenance_path(first).read_text())
    assert facts["sha256"] == sha256(first)
    assert facts["identity"]["place"] == f"digits/{name}"


def test_other_programs_find_the_record_and_read_the_content(tmp_path):
    tensors, scores, picture, folder = (
        make(tmp_path / f"a{kind}") for kind in (".safetensors", ".parquet", ".png", "")
    )
    with safe_open(tensors, framework="numpy") as file:
        assert json.loads(file.metadata()["identity"]) == read_record(tensors)
        np.testing.assert_array_equal(file.get_tensor("x"), np.arange(40, dtype=np.float32))
    pd.testing.assert_frame_equal(pd.read_parquet(scores), SCORES)
    assert json.loads(parquet.read_metadata(scores).metadata[b"identity"]) == read_record(scores)
    with Image.open(picture) as image:
        assert (np.asarray(image) == PIXELS[0]).all()
        assert json.loads(image.text["synthood"]) == read_record(picture)
    parts = json.loads((folder / MANIFEST).read_text())["parts"]
    assert parts == {name: sha256(folder / name) for name in ("head.safetensors", "paths/test.txt")}


@pytest.mark.parametrize("name", WRITERS)
def test_no_flipped_bit_is_read(tmp_path, name):
    path = make(tmp_path / name)
    if name in INSIDE:  # as after a copy of the artefact alone, such as that of `snakemake --cache`
        provenance_path(path).unlink()
    read(path)
    files = visible_files(path) if path.is_dir() else [path]
    bits = np.cumsum([0, *(8 * file.stat().st_size for file in files)])
    for bit in np.random.default_rng(0).integers(bits[-1], size=200).tolist():
        number = int(np.searchsorted(bits, bit, "right")) - 1
        file, place = files[number], bit - int(bits[number])
        content = file.read_bytes()
        flipped = bytearray(content)
        flipped[place // 8] ^= 1 << place % 8
        file.write_bytes(flipped)
        with pytest.raises(SynthoodError, match=f"^{re.escape(str(path))}: .*; delete it and run"):
            read(path)
        file.write_bytes(content)
    read(path)


@pytest.mark.parametrize("name", INSIDE)
@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b + b"\0", lambda b: b""])
def test_a_truncated_or_longer_artefact_is_not_read(tmp_path, name, damage):
    path = make(tmp_path / name)
    provenance_path(path).unlink()
    file = path / MANIFEST if path.is_dir() else path
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(SynthoodError, match=f"^{re.escape(str(path))}: "):
        read(path)


@pytest.mark.parametrize("change", ["removed", "added", "swapped"])
def test_a_folder_of_other_files_is_not_read(tmp_path, change):
    path = make(tmp_path / "a")
    if change == "removed":
        (path / "paths" / "test.txt").unlink()
    elif change == "added":
        (path / "more.txt").write_text("")
    else:
        (path / "paths" / "test.txt").write_text("b\n")
    changed = "more.txt" if change == "added" else "paths/test.txt"
    with pytest.raises(SynthoodError, match=rf"a: truncated or changed since it was written \({changed}\)"):
        read(path)


@pytest.mark.parametrize("name", WRITERS)
def test_runs_that_are_swapped_with_their_provenance_are_not_read(tmp_path, name):
    runs = [tmp_path / "results" / "digits" / "models" / "ce" / f"seed{seed}" / name for seed in (0, 1)]
    for seed, path in enumerate(runs):
        make(path, f'{{"seed":{seed}}}')
    swapped = tmp_path / "swapped"
    for beside in (lambda path: path, provenance_path):
        first, second = map(beside, runs)
        first.rename(swapped)
        second.rename(first)
        swapped.rename(second)
    for path, other in zip(runs, "10", strict=True):
        expected = f"{path}: holds results/digits/models/ce/seed{other}/{name}, written by train; delete it and run"
        with pytest.raises(SynthoodError, match=f"^{re.escape(expected)}"):
            read(path)
        with pytest.raises(SynthoodError, match=f"^{re.escape(expected)}"):
            make(tmp_path / "results" / "table" / "a.csv", inputs=[path])


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("keep", [0, 0.5])
def test_another_runs_file_with_truncated_provenance_is_not_read(tmp_path, name, keep):
    here, other = (make(tmp_path / "results" / place / name) for place in "ab")
    if here.is_dir():
        shutil.rmtree(here)
    other.rename(here)
    text = provenance_path(here).read_text()
    provenance_path(here).write_text(text[: int(len(text) * keep)])
    with pytest.raises(SynthoodError, match=re.escape(f"{name}")):
        read(here)


@pytest.mark.parametrize("name", INSIDE)
def test_a_copy_of_the_artefact_alone_is_verified(tmp_path, name):
    path = make(tmp_path / "results" / "a" / name)
    copies = [tmp_path / "clone" / "results" / "a" / name, tmp_path / "cache" / "4f2a" / name]
    for copy in (*copies, tmp_path / "results" / "b" / name):
        (shutil.copytree if path.is_dir() else shutil.copy)(path, (copy.parent.mkdir(parents=True), copy)[1])
    assert {verify(copy) for copy in copies} == {verify(path)}
    with pytest.raises(SynthoodError, match=re.escape(f"b/{name}: holds results/a/{name}")):
        read(tmp_path / "results" / "b" / name)


def test_the_head_of_an_image_set_is_verified_without_its_images(tmp_path):
    path = make(tmp_path / "i.safetensors")
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"?")
    assert read_facts(path) is None
    for right, wrong, message in (
        (b'[\\"a\\"', b'[\\"c\\"', "truncated or changed"),
        (b"identity", b"idenTity", "no identity in it"),
    ):
        path.write_bytes(content.replace(right, wrong, 1))
        with pytest.raises(SynthoodError, match=message):
            read_facts(path)


def test_results_without_identity_are_read_by_their_provenance_with_a_note_and_refused_without(tmp_path, capsys):
    path = tmp_path / "results" / "digits" / "a.parquet"
    path.parent.mkdir(parents=True)
    SCORES.to_parquet(path, index=False)
    with pytest.raises(SynthoodError, match=r"a\.parquet: damaged, or not written by this pipeline \(no identity in"):
        verify(path)
    provenance_path(path).write_text(json.dumps({"sha256": sha256(path), "stage": "score"}))
    assert len(read_scores(path)) == 3
    assert capsys.readouterr().out.startswith(f"{path}: read without an identity (")
    provenance_path(path).write_text(json.dumps({"sha256": "0" * 64, "stage": "score"}))
    with pytest.raises(SynthoodError, match="truncated or changed"):
        read_scores(path)


def test_a_later_format_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("synthood.common.stage.FORMAT", FORMAT + 1)
    path = make(tmp_path / "a.parquet")
    with pytest.raises(SynthoodError, match=rf"a\.parquet: of format {FORMAT + 1}, this version reads {FORMAT}; "):
        read(path)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("results/a/b.csv", "a/b.csv"),
        ("/x/results/y/results/a.csv", "a.csv"),
        ("/x/my-results/a.csv", ""),
        (".snakemake/storage/s3/bucket/results/a/b.csv", "a/b.csv"),
        ("a.csv", ""),
    ],
)
def test_the_place_is_below_the_folder_of_results(path, place):
    assert place_of(Path(path)) == place
