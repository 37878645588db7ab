"""Which parts of a dataset are read from the same files, as far as paths and settings tell; no file is opened.

What paths do not tell, such as two lists that name one image, the stage `overlaps` finds by the pixels.
"""

import itertools
from collections.abc import Mapping

from synthood.data.claims import Claim
from synthood.data.selection import SPLITS
from synthood.data.sources.base import IdSource, Source


def same_files(
    id_source: IdSource, sets: Mapping[str, Source], extra: Mapping[str, Source]
) -> list[tuple[str, str, str]]:
    """Two parts and what both read, of all pairs that read the same images; not of two extra sets."""
    own: dict[str, list[Claim]] = {part: id_source.claims(part) for part in SPLITS}
    every = {**own, **{name: source.claims(name) for name, source in {**sets, **extra}.items()}}
    found = []
    for one, other in itertools.combinations(every, 2):
        if {one, other} <= set(extra) or ({one, other} <= set(own) and id_source.disjoint(one, other)):
            continue
        what = next((a.told for a in every[one] for b in every[other] if a.meets(b)), None)
        found += [(one, other, what)] if what is not None else []
    return found
