"""ImageNet-1k's classes by WordNet id: class 0 to 999 are its 1,000 ids in ascending order."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

from synthood.errors import SynthoodError


@functools.cache
def class_numbers() -> dict[str, int]:
    """The class of every WordNet id."""
    text = Path(__file__).with_name("imagenet_wordnet_ids.txt").read_text()
    return {name: number for number, name in enumerate(text.split())}


def class_ids(classes: list[str], chosen: Mapping[str, Sequence[str | int]]) -> list[list[int]]:
    """The ImageNet classes that each ID class consists of; an ID class that is not named there is a WordNet id itself.

    Raises SynthoodError at an ID class without any, at an unknown id, and at a name that is no ID class.
    """
    for name in chosen:
        if name not in classes:
            raise SynthoodError(f"pretrained.class_ids: {name!r} is no ID class; these are {', '.join(classes)}")
    numbers = class_numbers()
    found = []
    for name in classes:
        wanted = chosen.get(name, [name])
        unknown = [one for one in wanted if isinstance(one, str) and one not in numbers]
        if unknown and name not in chosen:
            raise SynthoodError(
                f"pretrained.class_ids: {name!r} is not there and is no WordNet id of ImageNet-1k; name its ids"
            )
        if unknown:
            raise SynthoodError(f"pretrained.class_ids.{name}: {unknown[0]} is no class of ImageNet-1k")
        found.append([one if isinstance(one, int) else numbers[one] for one in wanted])
    return found
