"""Names as pictures have room for them."""

from collections.abc import Sequence

from synthood.errors import visible

NAME, CELL = 24, 18
"""Letters of a name in a picture, and at a heat map."""


def short(name: str, most: int = NAME) -> str:
    """A name as pictures have room for it: of a long one the middle is left out."""
    text, end = visible(name), most // 3
    return text if len(text) <= most else f"{text[: most - end - 1]}\u2026{text[-end:]}"


def shortened(names: Sequence[str], most: int = NAME) -> list[str]:
    """Names that are short and still differ: those that would be the same are numbered by their place."""
    found = [short(name, most) for name in names]
    return [f"{one} ({place})" if one and found.count(one) > 1 else one for place, one in enumerate(found, 1)]
