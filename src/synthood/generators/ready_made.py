"""Synthetic images made elsewhere as a generator's folder, from which blocks are cut."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import safe_open

from synthood.common.images import ImageSet, write_images
from synthood.common.names import BYTES, OFFSETS, Names, take_names
from synthood.common.seeds import derived_seed
from synthood.data.files.names import misnumbered, normal
from synthood.data.selection import Selection
from synthood.data.sources.arrays import Arrays, read_arrays
from synthood.data.sources.base import LabelledSet
from synthood.errors import SynthoodError
from synthood.generators.folder import Description

IMAGES = "images.safetensors"


@dataclass(frozen=True)
class Labelled:
    """Images uint8 [N,H,W,3] and labels int64 [N] of `classes`, or of classes in the ID images' order where None."""

    images: np.ndarray
    labels: np.ndarray
    classes: list[str] | None
    origin: str
    notes: list[str]
    names: Names | None = None


def adopt(found: Labelled, seed: int, classes: list[str], folder: Path) -> int:
    """Writes the set's images, image i of class i mod C, into `folder`; gives how many of a class there are.

    Each class's images come in an order drawn with the seed, so that fewer of them are a random share. Of a class of
    which there are more than of another, the rest stays out.
    """
    labels = id_labels(found, classes)
    each = [drawn(np.flatnonzero(labels == label), seed, name) for label, name in enumerate(classes)]
    count = min(map(len, each))
    order = np.stack([indices[:count] for indices in each], 1).reshape(-1)
    folder.mkdir()
    for note in found.notes:
        print(f"note: {found.origin}: {note}")
    names = found.names.chosen(order) if found.names is not None else None
    made = ImageSet(found.images[order], labels[order], classes, {"source": order}, found.notes, names=names)
    write_images(folder / IMAGES, made)
    Description("ready-made", classes).write(folder)
    return count


def read(source: LabelledSet, classes: list[str] | None, side: int, threads: int) -> Labelled:
    """The images of a source, resized to a side, with their labels and, as far as known, their names."""
    if isinstance(source, Arrays):
        found = arrays(source, side, classes)
    else:
        made = source.of_side(side).read(Selection(part="ready-made"), threads)
        found = Labelled(made.images, made.labels, made.classes, source.origin, made.notes, made.names)
    if found.images.shape[1:3] != (side, side):
        raise SynthoodError(
            f"{found.origin}: images of {found.images.shape[1:3]} pixels, the ID images have {side}; "
            f"take `source.size` away or set it to {side}"
        )
    return found


def arrays(source: Arrays, side: int, classes: list[str] | None) -> Labelled:
    """Images of an `.npz` file or of `images.npy`, with names as configured or as stored in `classes`."""
    path = Path(source.path)
    made = read_arrays(path, source.size or side)
    if made.labels is None:
        raise SynthoodError(f"{path}: no labels; put `labels` into the file, or labels.npy beside images.npy")
    return Labelled(made.images, made.labels, classes or stored_classes(path), str(path), made.notes)


def stored_classes(path: Path) -> list[str] | None:
    """Names of labels 0, 1, ... where an `.npz` file has an array of them that is not empty."""
    if path.suffix == ".npy":
        return None
    with path.open("rb") as stream, np.lib.npyio.NpzFile(stream, allow_pickle=False) as file:
        names = [normal(str(name)) for name in file["classes"]] if "classes" in file else []
    return names or None


def id_labels(found: Labelled, classes: list[str]) -> np.ndarray:
    """Labels int64 [N] as numbers of the ID classes; SynthoodError where the two sets of classes differ."""
    there = np.unique(found.labels).tolist()
    if found.classes is None and (strange_name := misnumbered(classes)):
        raise SynthoodError(
            f"{found.origin}: labels by number are ambiguous, since the ID class {strange_name} is number "
            f"{classes.index(strange_name)}; name `classes`"
        )
    names = classes if found.classes is None else found.classes
    strange = [label for label in there if not 0 <= label < len(names)]
    if strange:
        raise SynthoodError(
            f"{found.origin}: label {strange[0]}, but labels of {len(names)} classes run from 0 to {len(names) - 1}"
        )
    held = {names[label] for label in there}
    if held != set(classes):
        missing, other = sorted(set(classes) - held), sorted(held - set(classes))
        told = [f"{what} {', '.join(one)}" for what, one in (("no image of", missing), ("not ID:", other)) if one]
        raise SynthoodError(f"{found.origin}: its classes are not the ID classes ({'; '.join(told)}); fix `classes`")
    place = np.array([classes.index(name) if name in classes else -1 for name in names])
    return place[found.labels].astype(np.int64)


def drawn(indices: np.ndarray, seed: int, name: str) -> np.ndarray:
    """The indices of a class in an order drawn with the seed."""
    return np.random.default_rng(derived_seed(seed, "ready-made", name)).permutation(indices)


def cut(folder: Path, description: Description, first: int, count: int) -> ImageSet:
    """Images `first` and on; SynthoodError where the set has fewer."""
    file = folder / IMAGES
    with safe_open(file, framework="numpy") as stored:
        total = stored.get_slice("images").get_shape()[0]
        if first + count > total:
            per_class = total // len(description.classes)
            raise SynthoodError(f"{folder}: {per_class} images of each class are there; ask for at most as many")
        part = slice(first, first + count)
        images, labels, source = (stored.get_slice(name)[part] for name in ("images", "labels", "source"))
        names = take_names({key: stored.get_tensor(key) for key in {BYTES, OFFSETS} & set(stored.keys())}, total, file)
    chosen = names.chosen(np.arange(total)[part]) if names is not None else None
    return ImageSet(images, labels, description.classes, {"source": source}, names=chosen)
