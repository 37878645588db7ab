"""What images were before they became RGB pixels of one size: counted over a set, and compared between sets.

A detector may recognise an OOD set by these facts instead of its content.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from synthood.common.lazy import np

LEAST = 0.1
"""Share of the images that must differ for a difference to be reported."""
CHANCE = 1.36
"""Times sqrt(1/n + 1/m), the difference of two samples that chance exceeds in 5 % of cases (Kolmogorov-Smirnov)."""
LOSSLESS = ("PNG", "BMP", "PPM", "TIFF", "TGA", "WEBP, lossless", "array", "computed")
SHOWN = 3
NONE = "none"

Counts = Counter[str]


@dataclass
class ImageFacts:
    """Numbers of images by native size, channels, file format and resize rule.

    The native size is the smallest that the image's content ever had, as a side in pixels at the final scale: that of a
    28 px image enlarged to 32 px is 28, that of a 500 px photograph shrunk to 64 px is 64.
    """

    native: Counter[int] = field(default_factory=Counter)
    modes: Counts = field(default_factory=Counter)
    formats: Counts = field(default_factory=Counter)
    resize: Counts = field(default_factory=Counter)

    @classmethod
    def of(cls, images: np.ndarray, native: int, form: str, resize: str = NONE) -> ImageFacts:
        """Facts of images uint8 [N,H,W,3] that all have the same history."""
        count, grey = len(images), int(are_grey(images).sum())
        modes = Counter({name: number for name, number in (("grey", grey), ("RGB", count - grey)) if number})
        return cls(Counter({native: count}), modes, Counter({form: count}), Counter({resize: count}))

    def add(self, native: int, grey: bool, form: str, resize: str) -> None:
        """Counts one image."""
        self.native[native] += 1
        self.modes["grey" if grey else "RGB"] += 1
        self.formats[form] += 1
        self.resize[resize] += 1

    @classmethod
    def joined(cls, parts: Sequence[ImageFacts | None]) -> ImageFacts | None:
        """Facts of several sets together; None where one of them has none."""
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            return None
        return cls(*(sum((getattr(part, one.name) for part in known), Counter()) for one in fields(cls)))

    def header(self) -> dict[str, dict[str, int]]:
        """As JSON, in a fixed order."""
        return {
            "native": {str(side): self.native[side] for side in sorted(self.native)},
            "modes": dict(sorted(self.modes.items())),
            "formats": dict(sorted(self.formats.items())),
            "resize": dict(sorted(self.resize.items())),
        }

    @classmethod
    def read(cls, header: Mapping[str, Any]) -> ImageFacts | None:
        """From an image set's header; None where it has no facts."""
        facts = header.get("facts")
        if not facts:
            return None
        native = Counter({int(key): count for key, count in facts["native"].items()})
        return cls(native, *(Counter(facts[name]) for name in ("modes", "formats", "resize")))

    def __str__(self) -> str:
        shown = (sizes(self.native), shares(self.modes), shares(self.formats), shares(self.resize))
        return "native size {}; channels {}; format {}; resizing {}".format(*shown)


def are_grey(images: np.ndarray) -> np.ndarray:
    """Whether the three channels are equal, bool [N] of images [N,H,W,3], or one bool of an image [H,W,3]."""
    first = images[..., 0]
    grey = (first == images[..., 1]) & (first == images[..., 2])
    return np.asarray(grey.all((-2, -1)))


def resized_to(shorter: int, interpolation: str) -> str:
    """The resize rule in words."""
    return f"shorter side to {shorter} px, {interpolation}"


def history(
    width: int, height: int, size: int | None, resize: int | None = None, interpolation: str = "bilinear"
) -> tuple[int, str]:
    """Native size and resize rule of an image of this size whose shorter side becomes `resize` (default: `size`)."""
    shorter = min(width, height)
    if size is None:
        return shorter, NONE
    target = resize or size
    native = size if shorter >= target else max(1, round(size * shorter / target))
    return native, NONE if shorter == target else resized_to(target, interpolation)


def differences(ids: ImageFacts, own: ImageFacts) -> list[str]:
    """In what a set's images differ from the ID images apart from content, such as `native size (28 px against 32 px)`.

    Lossless formats count as one. A difference must concern a tenth of the images, and be more than chance.
    """
    least = min(1.0, max(LEAST, CHANCE * math.sqrt(1 / own.native.total() + 1 / ids.native.total())))
    found = []
    if farthest(ids.native, own.native) >= least:
        found.append(f"native size ({sizes(own.native)} against {sizes(ids.native)})")
    for name, one, other in (
        ("channels", own.modes, ids.modes),
        ("format", own.formats, ids.formats),
        ("resizing", own.resize, ids.resize),
    ):
        if apart(compressed(one), compressed(other)) >= least:
            found.append(f"{name} ({shares(one)} against {shares(other)})")
    return found


def difference_note(name: str, ids: ImageFacts, own: ImageFacts) -> str:
    """One sentence on a set that differs from the ID images apart from content; empty where it does not.

    `ids` are the facts of the training images, from which the other ID parts may differ as well.
    """
    found = differences(ids, own)
    if not found:
        return ""
    listed = " and ".join(filter(None, (", ".join(found[:-1]), *found[-1:])))
    if name in ("val", "calibration", "test"):
        return f"{name} differs from the training images in {listed}: detectors may reject it for that reason."
    return f"{name} differs from the ID images in {listed}: it may be detected for that reason."


def compressed(formats: Counts) -> Counts:
    """Formats by what they do to pixels: all lossless ones together."""
    found: Counts = Counter()
    for form, count in formats.items():
        found["lossless" if form in LOSSLESS else form] += count
    return found


def apart(one: Counts, other: Counts) -> float:
    """Share of images by which two distributions differ (total variation)."""
    return sum(abs(one[key] / one.total() - other[key] / other.total()) for key in {*one, *other}) / 2


def farthest(one: Counter[int], other: Counter[int]) -> float:
    """Largest distance of two cumulative distributions (Kolmogorov-Smirnov)."""
    keys = sorted({*one, *other})
    steps = [one[key] / one.total() - other[key] / other.total() for key in keys]
    return float(np.abs(np.cumsum(steps)).max())


def sizes(native: Counter[int]) -> str:
    """Native sizes in words."""
    if len(native) == 1:
        return f"{next(iter(native))} px"
    median = int(np.median(list(native.elements())))
    return f"{min(native)} to {max(native)} px, median {median}"


def shares(counts: Counts) -> str:
    """Values with their shares of the images, the largest first."""
    if len(counts) == 1:
        return next(iter(counts))
    common = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    words = [f"{key} {100 * count / counts.total():.0f} %" for key, count in common[:SHOWN]]
    return ", ".join(words) + f" and {len(common) - SHOWN} more" * (len(common) > SHOWN)
