"""Images that stand in two parts: counts, pairs, page."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from command_lines import writing
from pictures import as_jpeg, smooth
from synthood.common.encoded import write_encoded
from synthood.common.images import ImageSet, read_images, write_images
from synthood.common.names import Names
from synthood.data.leaks.find_leaks import Part, examples, grouped, leaks, main, page
from synthood.data.leaks.settings import LeakSettings

ORIGINALS = smooth(30, seed=5)


def written(path, images):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_images(path, ImageSet.out_of_distribution(images))
    return path


@pytest.fixture
def files(tmp_path):
    """Test holds 4 training images and 3 that were compressed anew; the generator copied 2; far holds none."""
    compressed = np.stack([as_jpeg(image) for image in ORIGINALS[4:7]])
    test = np.concatenate([smooth(10, seed=6), ORIGINALS[:4], compressed])
    synthetic = np.concatenate([smooth(5, seed=8), ORIGINALS[20:22]])
    return {
        "train": written(tmp_path / "train.safetensors", ORIGINALS),
        "test": written(tmp_path / "test.safetensors", test),
        "far": written(tmp_path / "far.safetensors", smooth(12, seed=7)),
        "block0": written(tmp_path / "sd" / "block0.safetensors", synthetic[:3]),
        "block1": written(tmp_path / "sd" / "block1.safetensors", synthetic[3:]),
    }


def parts_of(files):
    named = grouped([files["train"], files["test"], files["far"]], [files["block0"], files["block1"]])
    return [Part.read(name, paths) for name, paths in named.items()]


def test_counts_and_pairs_are_what_was_planted(files):
    counts, pairs = leaks(parts_of(files), LeakSettings())
    found = {
        (row.part, row.other): (row.images, row.exact, row.near) for row in counts.itertuples() if row.exact or row.near
    }
    assert found == {
        ("train", "test"): (30, 4, 3),
        ("test", "train"): (17, 4, 3),
        ("train", "synthetic-sd"): (30, 2, 0),
        ("synthetic-sd", "train"): (7, 2, 0),
    }
    assert len(counts) == 4 * 3
    of_test = pairs[pairs["image"].str.startswith("test/")]
    assert dict(zip(of_test["image"], of_test["other"], strict=True)) == {
        f"test/{10 + i}": f"train/{i}" for i in range(7)
    }
    assert of_test["kind"].tolist() == ["exact"] * 4 + ["near"] * 3
    assert (of_test["correlation"][of_test["kind"] == "near"] >= 0.9).all()


def test_an_image_that_stands_twice_is_counted_where_it_stands(tmp_path):
    one = written(tmp_path / "train.safetensors", ORIGINALS[[0, 0, 0, 1]])
    other = written(tmp_path / "test.safetensors", ORIGINALS[[2, 0]])
    counts, pairs = leaks([Part.read("train", [one]), Part.read("test", [other])], LeakSettings())
    assert counts["exact"].tolist() == [3, 1]
    assert pairs["other"].tolist() == ["test/1"] * 3 + ["train/0"]


def test_parts_without_leaks_have_a_page_that_says_so(files):
    parts = [Part.read(name, [files[name]]) for name in ("train", "far")]
    counts, pairs = leaks(parts, LeakSettings())
    assert (len(pairs), counts["exact"].sum(), counts["near"].sum()) == (0, 0, 0)
    text = page(counts, pairs, parts, LeakSettings(), 1)
    assert text.count("<tr>") == 3
    assert "<figure>" not in text


def test_large_images_are_looked_at_encoded(tmp_path):
    large = smooth(6, seed=9, side=80)
    path = tmp_path / "train.safetensors"
    write_encoded(path, iter(large), 1, lambda: (np.full(6, -1, np.int64), {"classes": []}))
    other = written(tmp_path / "test.safetensors", large[2:4])
    parts = [Part.read("train", [path]), Part.read("test", [other])]
    counts, _ = leaks(parts, LeakSettings())
    assert counts["exact"].tolist() == [2, 2]
    np.testing.assert_array_equal(parts[0].pictures({3})[3], large[3])


def test_examples_are_spread_from_the_most_alike_to_the_least(files):
    parts = parts_of(files)
    rows = [("train/0", f"test/{i}", "near", 1 - i / 100) for i in range(9)]
    pairs = pd.DataFrame(rows, columns=["image", "other", "kind", "correlation"])
    shown = examples(pairs, parts, LeakSettings(examples=3))
    assert {key: value["other"].tolist() for key, value in shown.items()} == {
        ("train", "test"): ["test/0", "test/4", "test/8"]
    }
    assert examples(pairs, parts, LeakSettings(examples=0)) == {}


def test_the_page_shows_the_pairs_and_stands_alone(files):
    parts = parts_of(files)
    counts, pairs = leaks(parts, LeakSettings())
    text = page(counts, pairs, parts, LeakSettings(), 1)
    assert text.count("<figure>") == 3
    assert text.count('<tr class="found">') == 4
    assert "train and test: nearly the same" in text
    assert "http" not in text


def test_the_stage_writes_all_three_and_twice_the_same(files, tmp_path, capsys):
    def run(place):
        outputs = [tmp_path / place / name for name in ("leaks.csv", "leak_pairs.csv", "leaks.html")]
        images = [str(files[name]) for name in ("train", "test", "far")]
        blocks = [str(files[name]) for name in ("block0", "block1")]
        main([*writing(main, outputs), "--images", *images, "--synthetic", *blocks])
        return [path.read_bytes() for path in outputs]

    first = run("a")
    assert "synthetic-sd" in capsys.readouterr().out
    assert first == run("b")
    counts = pd.read_csv(tmp_path / "a" / "leaks.csv")
    assert counts.columns.tolist() == ["part", "images", "other", "exact", "near"]
    assert counts["exact"].sum() == 12


def test_pairs_and_page_name_the_files(files, tmp_path):
    """Whatever their names hold: the table quotes it and the page shows it."""
    odd = ['a, "b"\nc.png', "<script>alert('x')</script>.png", "ü & ö/日本.png"]
    test = ImageSet.out_of_distribution(np.concatenate([ORIGINALS[:1], [as_jpeg(ORIGINALS[4])], smooth(1, seed=6)]))
    test.names = Names.of(odd)
    write_images(files["test"], test)
    outputs = [str(tmp_path / name) for name in ("leaks.csv", "leak_pairs.csv", "leaks.html")]
    main([*writing(main, outputs), "--images", str(files["train"]), str(files["test"])])
    pairs = pd.read_csv(outputs[1], keep_default_na=False)
    rows = pairs[["image", "other", "kind", "image_path", "other_path"]].to_numpy().tolist()
    assert rows == [
        ["train/0", "test/0", "exact", "", odd[0]],
        ["train/4", "test/1", "near", "", odd[1]],
        ["test/0", "train/0", "exact", odd[0], ""],
        ["test/1", "train/4", "near", odd[1], ""],
    ]
    text = Path(outputs[2]).read_text()
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;.png" in text
    assert "<script>" not in text


def test_files_are_named_in_every_block(files):
    made = read_images(files["block1"])
    made.names = Names.of(["a.png", "b.png", "c.png", "d.png"])
    write_images(files["block1"], made)
    part = Part.read("synthetic-sd", [files["block0"], files["block1"]])
    assert [part.path(place) for place in range(len(part))] == ["", "", "", "a.png", "b.png", "c.png", "d.png"]


def test_a_file_that_is_no_image_set_is_named(tmp_path, capsys):
    (tmp_path / "train.safetensors").write_bytes(b"no")
    outputs = [str(tmp_path / name) for name in ("a.csv", "b.csv", "c.html")]
    with pytest.raises(SystemExit):
        main([*writing(main, outputs), "--images", str(tmp_path / "train.safetensors")])
    assert "train.safetensors: damaged, or not written by this pipeline" in capsys.readouterr().err
    assert not (tmp_path / "a.csv").exists()
