"""Settings of the comparison of a dataset's parts: which may share images, and what they refuse."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, model_validator

from synthood.common.settings import Count, Name, Settings

CALIBRATION = "calibration"
"""The part of validation images that thresholds alone are taken from."""
ID_PARTS = ("train", "val", CALIBRATION, "test")


class AllowedOverlap(Settings):
    """Two parts of a dataset that may share images."""

    parts: Annotated[
        list[Name],
        Field(min_length=2, max_length=2, description="train, val, calibration, test, ood_validation or names of sets"),
    ]
    images: Annotated[
        Count | None, Field(description="at most so many different images; default: any number, the same files too")
    ] = None

    @model_validator(mode="after")
    def _two_parts(self) -> "AllowedOverlap":
        if self.parts[0] == self.parts[1]:
            raise ValueError(f"{self.parts[0]} is named twice; name two parts")
        return self


class OverlapSettings(Settings):
    """One job of `overlaps`: what a dataset's parts may share."""

    dataset: Name
    allowed: list[AllowedOverlap] = []
    extra: Annotated[list[Name], Field(description="sets that nothing is tested on")] = []
    drop: Annotated[bool, Field(description="evaluated parts lose what they share with ID parts")] = False

    def most(self, one: str, other: str) -> float:
        """Different images that two parts may share."""
        for allowed in self.allowed:
            if set(allowed.parts) == {one, other}:
                return float("inf") if allowed.images is None else allowed.images
        return 0

    def dropped(self, one: str, other: str) -> bool:
        """Whether one of the two parts loses the images that both have before anything is evaluated."""
        inside = {one, other} & set(ID_PARTS)
        return self.drop and bool(inside) and inside != {"train", "val"} and not {one, other} & set(self.extra)


@dataclass(frozen=True)
class Shared:
    """How many different images two parts share, and some of them in words."""

    one: str
    other: str
    count: int
    examples: str


SHOWN = 2
"""Further pairs of parts that a refusal counts."""


def refusal(found: Sequence[Shared], settings: OverlapSettings) -> str:
    """A sentence with counts, examples and the remedies where parts share more than they may; else empty."""
    refused = [
        each
        for each in found
        if each.count > settings.most(each.one, each.other) and not settings.dropped(each.one, each.other)
    ]
    if not refused:
        return ""
    first, *others = refused
    more = [f"{each.one} and {each.other} share {each.count}" for each in others[:SHOWN]]
    more += [f"{len(others) - SHOWN} more pairs are in the log"] if len(others) > SHOWN else []
    droppable = settings.model_copy(update={"drop": True})
    drop = "drop them by `leaks: {drop: true}`, " if any(droppable.dropped(e.one, e.other) for e in refused) else ""
    entries = ", ".join(f"{{parts: [{each.one}, {each.other}], images: {each.count}}}" for each in refused)
    return (
        f"datasets.{settings.dataset}: {first.one} and {first.other} share {first.count} images with identical "
        f"pixels ({first.examples}){''.join(f'; {text}' for text in more)}; take them out of one of the parts, "
        f"{drop}or allow them by `allow_overlap: [{entries}]`"
    )
