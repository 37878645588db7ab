"""What lies in a folder of prepared images: parts, counts, classes, sizes, digests, what parts share and differ in."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synthood.common.encoded import EncodedImages
from synthood.common.identity import sha256
from synthood.common.image_facts import ImageFacts, difference_note
from synthood.common.images import open_set
from synthood.errors import SynthoodError

HEADINGS = ("part", "images", "classes", "per class", "size", "stored", "skipped or noted", "SHA-256")


@dataclass
class Part:
    """One image set as a row of the table."""

    name: str
    images: int
    classes: int
    per_class: str
    size: str
    stored: str
    notes: list[str]
    digest: str
    pixels: set[bytes]
    """SHA-256 of every image's pixels."""
    facts: ImageFacts | None

    def row(self) -> tuple[str, ...]:
        """The cells, in the order of HEADINGS."""
        noted = str(len(self.notes)) if self.notes else "-"
        classes = str(self.classes) if self.classes else "-"
        return (self.name, str(self.images), classes, self.per_class, self.size, self.stored, noted, self.digest)


def read_part(path: Path) -> Part:
    """The facts of one image set; raises where the file is not one."""
    made = open_set(path)
    shape, labels, classes = made.images.shape, made.labels, made.classes
    counts = np.bincount(labels[labels >= 0], minlength=len(classes))
    spread = f"{counts.min()}-{counts.max()}" if counts.size and counts.min() != counts.max() else ""
    per_class = spread or (str(counts[0]) if counts.size else "-")
    return Part(
        name=path.stem,
        images=shape[0],
        classes=len(classes),
        per_class=per_class,
        size=f"{shape[2]}x{shape[1]}",
        stored="encoded" if isinstance(made.images, EncodedImages) else "pixels",
        notes=made.notes,
        digest=sha256(path),
        pixels={digest.tobytes() for digest in made.columns.get("pixel_sha256", [])},
        facts=made.facts,
    )


def show(folder: Path) -> str:
    """A table of all image sets of a folder, their notes, and the pairs of parts that share images."""
    files = sorted(file for file in folder.glob("*.safetensors") if not file.name.startswith("."))
    if not files:
        raise SynthoodError(f"{folder}: no prepared images (*.safetensors) in it; run `snakemake` or the stage first")
    parts = [read_part(file) for file in files]
    rows = [HEADINGS, *(part.row() for part in parts)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += [f"{part.name}: {note}" for part in parts for note in part.notes]
    lines += [f"{part.name}, before preparation: {part.facts}" for part in parts if part.facts]
    train = next((part.facts for part in parts if part.name == "train"), None)
    lines += [
        text for part in parts if train and part.facts and (text := difference_note(part.name, train, part.facts))
    ]
    for place, part in enumerate(parts):
        for other in parts[place + 1 :]:
            if shared := len(part.pixels & other.pixels):
                lines.append(f"{part.name} and {other.name} share {shared} images with the same pixels")
    return "\n".join(lines)
