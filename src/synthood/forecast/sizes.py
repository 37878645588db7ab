"""How many images, of which size, each artefact holds: as it is, as its data say, or as is assumed of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthood.data.overlap_settings import CALIBRATION
from synthood.data.part_settings import PartSettings
from synthood.data.sources.in_files import InFiles
from synthood.errors import SynthoodError
from synthood.workflow.plan import Plan
from synthood.workflow.plausible import USUAL_SIDE

CLASSES, PER_CLASS, IN_A_SET = 10, {"train": 400, "val": 50, "test": 50}, 1000
"""Of data that are not there and whose configuration does not say it."""
OF_LAYOUT = {
    "cifar10": (50_000, 10_000),
    "cifar100": (50_000, 10_000),
    "svhn": (73_257, 26_032),
    "mnist": (60_000, 10_000),
    "fashion-mnist": (60_000, 10_000),
    "dtd": (1_880, 1_880),
    "imagenet": (1_281_167, 50_000),
}
"""Training and test images of public data sets, by the kind of their source."""
DIGITS = (178, 182, 177, 183, 181, 182, 181, 179, 174, 180)
"""scikit-learn's images of each digit."""
ARTEFACT = re.compile(r"results/(?P<dataset>[^/]+)/(?P<rest>.+)\.safetensors$")
HEADER = 8
"""Bytes before the header of safetensors, which are its length."""


@dataclass(frozen=True)
class Images:
    """Images of an artefact: their number, side in pixels, and classes of the dataset."""

    count: int
    side: int
    classes: int


class Sizes:
    """Sizes of all artefacts of a configuration whose results lie in the working folder."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.assumed: dict[str, str] = {}
        """What was assumed, by what it was assumed of."""
        self._found: dict[str, int] = {}

    def of(self, path: str) -> Images:
        """Of a set of images, or of what was made of one."""
        found = ARTEFACT.match(path)
        assert found, path
        dataset, rest = found["dataset"], found["rest"]
        if rest.startswith("backbones/"):
            rest = rest.split("/", 2)[2]
        key = f"{dataset}/{rest}"
        if key not in self._found:
            self._found[key] = _stored(Path(f"results/{dataset}/{rest}.safetensors")) or self._count(dataset, rest)
        return Images(self._found[key], self.side(dataset), self.classes(dataset))

    def total(self, paths: list[str]) -> int:
        """Images of several artefacts."""
        return sum(self.of(path).count for path in paths)

    def side(self, dataset: str) -> int:
        """Pixels a side of a dataset's images."""
        side = self.plan.config.datasets[dataset].side
        if side is None:
            self.assumed[f"datasets.{dataset}"] = f"images of {USUAL_SIDE} px"
        return side or USUAL_SIDE

    def classes(self, dataset: str) -> int:
        """Classes that are taught."""
        taught = self.plan.config.datasets[dataset].taught
        if taught.class_count is not None:
            return taught.class_count
        try:
            return len(taught.classes_by_label())
        except (SynthoodError, OSError):
            self.assumed[f"datasets.{dataset}.id"] = f"{CLASSES} classes, as its images are not there"
            return CLASSES

    def _count(self, dataset: str, rest: str) -> int:
        folder, _, name = rest.partition("/")
        config, classes = self.plan.config, self.classes(dataset)
        if folder == "images":
            return self._of_part(dataset, name.removeprefix("without_leaks/"))
        owner, _, file = name.partition("/")
        if folder == "synthetic":
            generator = config.generators[owner]
            if file == "kept":
                return classes * generator.images_per_class
            return generator.block_counts(classes)[int(file.removeprefix("block"))]
        gate = getattr(config.outliers[owner], "gate", None)
        return classes * gate.keep_per_class if gate else self._of_part(dataset, "train")

    def _of_part(self, dataset: str, part: str) -> int:
        settings = self.plan.settings_of_part(dataset, part)
        found = next(iter(_told(settings, self.classes(dataset))), None) or _listed(settings)
        if found is None:
            per_class = PER_CLASS.get(part)
            found = self.classes(dataset) * per_class if per_class else IN_A_SET
            if settings.held_out:
                found = len(settings.held_out) * sum(PER_CLASS.values())
            self.assumed[f"{dataset}/{part}"] = f"{found} images, as they are not there"
        if part == CALIBRATION or (part == "val" and settings.calibration is not None):
            share = settings.calibration or 0.0
            found = max(1, round(found * (share if part == CALIBRATION else 1 - share)))
        return found


def _told(settings: PartSettings, classes: int) -> Iterator[int]:
    """What the configuration alone says of a part."""
    source: Any = settings.source
    part = "val" if settings.part == CALIBRATION else settings.part
    if source.kind == "digits":
        each = [DIGITS[digit] for digit in source.classes]
        if part in PER_CLASS:
            first, second = source.train_per_class, source.val_per_class
            of = {"train": [first] * len(each), "val": [second] * len(each), "test": [n - first - second for n in each]}
            each = of[part]
        yield sum(each)
    images = getattr(source, "images", None)
    if isinstance(images, int):
        yield images
    if settings.held_out:
        return
    per_class = getattr(source, f"{part}_per_class", None)
    if isinstance(per_class, int):
        yield per_class * classes
    if part in PER_CLASS and hasattr(source, "lines") and (lines := source.lines(settings.asked.split)):
        yield lines
    for key in ("count", "reported_count"):
        count = getattr(source, key, None)
        if isinstance(count := getattr(count, part, count), int):
            yield count
    if source.kind in OF_LAYOUT:
        train, test = OF_LAYOUT[source.kind]
        yield train if part == "train" else test


def _listed(settings: PartSettings) -> int | None:
    """Images of a part whose raw files are there."""
    source: Any = settings.source
    try:
        if isinstance(source, InFiles):
            return len(source.listed(settings.asked))
        if (paths := source.raw_paths(settings)) and all(path.exists() for path in paths):
            return len(source.read(settings.asked))
    except (SynthoodError, OSError, ValueError):
        return None
    return None


def _stored(path: Path) -> int | None:
    """Images of an artefact that is there; None without one."""
    header = header_of(path)
    shape = next((header[key]["shape"] for key in ("labels", "kept") if key in header), None)
    return int(shape[0]) if shape else None


def header_of(path: Path) -> dict[str, Any]:
    """The header of a safetensors file; empty where there is none to read."""
    try:
        with path.open("rb") as stream:
            size = int.from_bytes(stream.read(HEADER), "little")
            found = json.loads(stream.read(min(size, 1 << 27)))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
