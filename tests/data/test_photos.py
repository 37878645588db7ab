"""The photographs that come with the project are those that were chosen, and no others."""

import hashlib
from pathlib import Path

from PIL import Image

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"
CLASSES = ["dress", "hat", "longsleeve", "outwear", "pants", "shirt", "shoes", "shorts", "skirt", "t-shirt"]
HELD_OUT = ["hat", "shoes"]
DIGEST = "ce19ee795b5c326e5a449c2e9e95e0e5402b281f131c9c3a40d125cdc60e79df"


def counts(folder):
    return {place.name: len(list(place.iterdir())) for place in folder.iterdir()}


def test_every_class_has_the_images_that_the_readme_says():
    assert counts(PHOTOS / "clothing") == dict.fromkeys(CLASSES, 84)
    assert counts(PHOTOS / "new/known") == dict.fromkeys(sorted(set(CLASSES) - set(HELD_OUT)), 12)
    assert counts(PHOTOS / "new/unknown") == dict.fromkeys(HELD_OUT, 12)


def test_no_byte_of_them_has_changed_and_no_two_are_equal():
    files = sorted(file.relative_to(PHOTOS).as_posix() for file in PHOTOS.rglob("*") if file.suffix == ".jpg")
    digests = [hashlib.sha256((PHOTOS / file).read_bytes()).hexdigest() for file in files]
    lines = "".join(f"{digest}  {file}\n" for digest, file in zip(digests, files, strict=True))
    assert hashlib.sha256(lines.encode()).hexdigest() == DIGEST
    assert len(set(digests)) == 960
    assert sum((PHOTOS / file).stat().st_size for file in files) < 5_000_000


def test_they_are_small_photographs_without_exif_data():
    for file in PHOTOS.rglob("*.jpg"):
        with Image.open(file) as image:
            assert (image.format, image.mode, min(image.size), len(image.getexif())) == ("JPEG", "RGB", 112, 0), file
