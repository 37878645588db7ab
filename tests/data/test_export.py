"""Image sets as `.npz` files."""

import numpy as np
import pytest

from synthood.cli import main
from synthood.common.images import ImageSet, write_images
from synthood.data.export import export
from synthood.data.sources.arrays import read_arrays
from synthood.errors import SynthoodError
from synthood.generators.kinds.ready_made import ReadyMadeReading
from synthood.generators.ready_made import read

CLASSES = ["b", "a"]
PIXELS = np.random.default_rng(0).integers(0, 256, (33, 8, 8, 3), dtype=np.uint8)
LABELS = np.arange(33) % 2


@pytest.fixture
def folder(tmp_path):
    """Eleven blocks of three images, so that their names do not sort as their numbers do."""
    made = tmp_path / "synthetic" / "sd"
    made.mkdir(parents=True)
    for block in range(11):
        part = slice(3 * block, 3 * block + 3)
        write_images(made / f"block{block}.safetensors", ImageSet(PIXELS[part], LABELS[part], CLASSES))
    return made


def test_blocks_come_in_the_order_of_their_numbers(folder, tmp_path):
    export(folder, tmp_path / "new" / "sd.npz")
    read = read_arrays(tmp_path / "new" / "sd.npz", None)
    images, labels = read.images, read.labels
    assert np.array_equal(images, PIXELS)
    assert np.array_equal(labels, LABELS)
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["sd.npz"]


def test_another_run_reads_them_as_a_ready_made_set_with_their_classes(folder, tmp_path):
    export(folder, tmp_path / "sd.npz")
    source = {"kind": "arrays", "path": str(tmp_path / "sd.npz")}
    found = read(ReadyMadeReading.model_validate({"kind": "ready-made", "source": source}).source, None, 8, 1)
    assert found.classes == CLASSES
    assert np.array_equal(found.images, PIXELS)
    assert np.array_equal(found.labels, LABELS)


def test_what_a_filter_kept_comes_before_the_blocks(folder, tmp_path):
    write_images(folder / "kept.safetensors", ImageSet(PIXELS[:4], LABELS[:4], CLASSES))
    assert len(export(folder, tmp_path / "kept.npz")) == 4
    assert len(export(folder / "block3.safetensors", tmp_path / "block.npz")) == 3


def test_the_command_says_what_it_wrote(folder, tmp_path, capsys):
    main(["data", "export", str(folder), str(tmp_path / "sd.npz")])
    assert capsys.readouterr() == (f"{tmp_path / 'sd.npz'}: 33 images of 2 classes\n", "")


def test_a_missing_block_an_empty_folder_and_another_format_are_told(folder, tmp_path):
    (folder / "block4.safetensors").unlink()
    with pytest.raises(SynthoodError, match=r"sd: block 4 is missing"):
        export(folder, tmp_path / "sd.npz")
    for source in (tmp_path / "synthetic", tmp_path / "absent"):
        with pytest.raises(SynthoodError, match=f"{source.name}: no images to export"):
            export(source, tmp_path / "sd.npz")
    with pytest.raises(SynthoodError, match=r"sd.zip: expected a name that ends in .npz"):
        export(folder, tmp_path / "sd.zip")
    assert not list(tmp_path.glob("*sd.*"))
