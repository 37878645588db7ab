"""PixMix's pictures from a folder: which, in which order and frame, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from synthood.errors import SynthoodError
from synthood.training.augmentation.mixing_set import pictures_of
from synthood.training.augmentation.policies import PixMix, part_of, pixmixed
from synthood.training.augmentation.settings import Augmentation
from toy_training import random


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Grey levels 10 and 20 (an alpha channel, a folder below), a wide one with a bright middle, and a text."""
    (tmp_path / "b").mkdir()
    Image.new("L", (5, 5), 10).save(tmp_path / "a.png")
    Image.new("RGBA", (9, 9), (20, 20, 20, 255)).save(tmp_path / "b" / "c.PNG")
    wide = np.full((8, 24, 3), 30, np.uint8)
    wide[:, 8:16] = 200
    Image.fromarray(wide).save(tmp_path / "z.bmp")
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def test_pictures_fill_the_frame_in_the_order_of_their_paths(folder: Path) -> None:
    found = pictures_of(folder, 8, 8)
    assert found.shape == (3, 3, 8, 8)
    assert found.dtype == torch.uint8
    assert [found[0].unique().tolist(), found[1].unique().tolist()] == [[10], [20]]
    assert int(found[2, 0, 4, 4]) == 200  # cut from the middle
    assert pictures_of(folder, 6, 4).shape == (3, 3, 6, 4)


def test_pixmix_takes_them_instead_of_fractals(folder: Path) -> None:
    settings = PixMix(pictures=str(folder))
    made = Augmentation(pixmix=settings).prepared(lambda images: images, 8, 8, 0, torch.device("cpu"))
    images = torch.randint(256, (30, 8, 8, 3), generator=random(), dtype=torch.uint8)
    expected = pixmixed(images.permute(0, 3, 1, 2) / 255, pictures_of(folder, 8, 8) / 255, settings, random(1))
    torch.testing.assert_close(made(images, random(1)).permute(0, 3, 1, 2) / 255, expected)


def test_what_is_no_mixing_set_is_named(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(SynthoodError, match=r"none: no such folder; correct augmentation\.pixmix\.pictures"):
        pictures_of(folder / "none", 8, 8)
    with pytest.raises(SynthoodError, match="no image files"):
        pictures_of(tmp_path_factory.mktemp("empty"), 8, 8)
    (folder / "b" / "broken.jpg").write_bytes(b"nothing")
    with pytest.raises(SynthoodError, match=r"broken\.jpg: not a readable image"):
        pictures_of(folder, 8, 8)


def test_larger_pictures_give_a_random_part(folder: Path) -> None:
    """Of pictures of 4 x 4 every part of 3 x 3 and no other; grey images take them over where nothing else acts."""
    ramp = np.arange(0, 160, 10, dtype=np.uint8).reshape(4, 4)
    Image.fromarray(ramp).save(folder / "a.png")
    pictures = pictures_of(folder, 4, 4)
    assert np.array_equal(pictures[0, 0], ramp)
    found = part_of(pictures[:1].expand(200, -1, -1, -1), 3, 3, random())
    allowed = torch.stack([pictures[0, :, top : top + 3, left : left + 3] for top in (0, 1) for left in (0, 1)])
    same = (found[:, None] == allowed[None]).flatten(2).all(2)
    assert (same.sum(1) == 1).all()
    assert (same.sum(0) > 25).all()  # 50 expected, standard deviation 6.1
    settings = PixMix(pictures=str(folder), picture_size=4)
    made = Augmentation(pixmix=settings).prepared(lambda images: images, 3, 3, 0, torch.device("cpu"))
    images = torch.randint(256, (30, 3, 3, 3), generator=random(), dtype=torch.uint8)
    expected = pixmixed(images.permute(0, 3, 1, 2) / 255, pictures / 255, settings, random(1))
    torch.testing.assert_close(made(images, random(1)).permute(0, 3, 1, 2) / 255, expected)
    with pytest.raises(SynthoodError, match="picture_size 4 does not fill images of 5 x 5 pixels; take at least 5"):
        Augmentation(pixmix=settings).prepared(lambda images: images, 5, 5, 0, torch.device("cpu"))
    with pytest.raises(ValidationError, match="picture_size is of pictures in a folder"):
        PixMix(picture_size=36)
