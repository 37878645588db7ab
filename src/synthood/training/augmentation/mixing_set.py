"""Pictures that PixMix mixes with, from a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from synthood.common.image_formats import suffixes
from synthood.common.lazy import Tensor, lazy, np, torch
from synthood.errors import SynthoodError

if TYPE_CHECKING:
    import PIL
    from PIL import Image, ImageOps
else:
    PIL, Image, ImageOps = map(lazy, ("PIL", "PIL.Image", "PIL.ImageOps"))


def pictures_of(folder: Path, height: int, width: int) -> Tensor:
    """All image files below a folder in the order of their paths, uint8 [M,3,H,W], scaled and cut to fill the frame.

    Raises SynthoodError where there are none, or one cannot be read.
    """
    if not folder.is_dir():
        raise SynthoodError(f"{folder}: no such folder; correct augmentation.pixmix.pictures")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes())
    if not found:
        raise SynthoodError(f"{folder}: no image files; correct augmentation.pixmix.pictures")
    pictures = np.stack([picture_of(path, height, width) for path in found])
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous()


def picture_of(path: Path, height: int, width: int) -> np.ndarray:
    """One picture uint8 [H,W,3]."""
    try:
        with Image.open(path) as picture:
            return np.asarray(ImageOps.fit(picture.convert("RGB"), (width, height), Image.Resampling.BICUBIC))
    except (OSError, PIL.UnidentifiedImageError) as error:
        raise SynthoodError(f"{path}: not a readable image; take it out of the folder") from error
