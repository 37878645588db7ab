"""The table of prepared images."""

import hashlib

import numpy as np
import pytest

from synthood.cli import main
from synthood.common.artefact import write_provenance
from synthood.common.encoded import write_encoded
from synthood.common.image_facts import ImageFacts
from synthood.common.images import ImageSet, write_images
from synthood.data.show import show
from synthood.errors import SynthoodError

PIXELS = np.random.default_rng(0).integers(0, 256, (9, 70, 80, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    small = PIXELS[:, :10, :12]
    write_images(tmp_path / "train.safetensors", ImageSet(small[:5], np.array([0, 1, 1, 0, 1]), ["a", "b"]))
    write_images(
        tmp_path / "test.safetensors", ImageSet(small[3:7], np.array([0, 1, 1, 0]), ["a", "b"], notes=["no x"])
    )
    write_images(tmp_path / "far.safetensors", ImageSet.out_of_distribution(small[7:]))
    write_encoded(
        tmp_path / "large.safetensors", iter(PIXELS[:3]), 1, lambda: (np.array([2, 1, 0]), {"classes": ["x", "y", "z"]})
    )
    write_provenance(tmp_path / "train.safetensors", tmp_path / "train.safetensors", {})
    (tmp_path / ".half.safetensors").write_text("no")
    return tmp_path


def test_the_table_holds_every_part(folder):
    head, *rows = show(folder).splitlines()
    assert head.split("  ")[0] == "part"
    digests = {
        name: hashlib.sha256((folder / f"{name}.safetensors").read_bytes()).hexdigest()
        for name in ("far", "large", "test", "train")
    }
    assert [row.split() for row in rows[:4]] == [
        ["far", "2", "-", "-", "12x10", "pixels", "-", digests["far"]],
        ["large", "3", "3", "1", "80x70", "encoded", "-", digests["large"]],
        ["test", "4", "2", "2", "12x10", "pixels", "1", digests["test"]],
        ["train", "5", "2", "2-3", "12x10", "pixels", "-", digests["train"]],
    ]
    assert rows[4:] == ["test: no x", "test and train share 2 images with the same pixels"]


def test_what_images_were_and_how_sets_differ_is_told(tmp_path):
    for name, colours, side in (("train", 3, 12), ("far", 1, 8)):
        images = np.broadcast_to(PIXELS[:, :12, :12, :colours], (9, 12, 12, 3))
        facts = ImageFacts.of(images, side, "array")
        write_images(tmp_path / f"{name}.safetensors", ImageSet.out_of_distribution(images, facts))
    assert show(tmp_path).splitlines()[3:] == [
        "far, before preparation: native size 8 px; channels grey; format array; resizing none",
        "train, before preparation: native size 12 px; channels RGB; format array; resizing none",
        "far differs from the ID images in native size (8 px against 12 px) and channels (grey against RGB): it may be "
        "detected for that reason.",
    ]


def test_the_command_prints_it(folder, capsys):
    main(["data", "show", str(folder)])
    assert capsys.readouterr() == (show(folder) + "\n", "")


def test_a_folder_without_images_or_with_other_files_is_told(folder, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for place in ("empty", "absent"):
        with pytest.raises(SynthoodError, match=f"{place}: no prepared images"):
            show(tmp_path / place)
    (folder / "odd.safetensors").write_text("no")
    with pytest.raises(SystemExit):
        main(["data", "show", str(folder)])
    assert capsys.readouterr().err.startswith(f"error: {folder / 'odd.safetensors'}: ")
