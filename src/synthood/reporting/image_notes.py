"""Notes on image sets that differ from the ID images apart from their content."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from synthood.common.image_facts import difference_note
from synthood.common.images import read_facts


def image_notes(datasets: Sequence[str], images: Iterable[Path]) -> dict[str, str]:
    """A note per dataset that needs one, from its image sets: of each dataset `train` comes first."""
    groups: list[list[Path]] = []
    for path in images:
        if path.stem == "train":
            groups.append([])
        groups[-1].append(path)
    notes = {}
    for dataset, (first, *others) in zip(datasets, groups, strict=False):
        train = read_facts(first)
        found = [(path.stem, read_facts(path)) for path in others]
        sentences = [difference_note(name, train, facts) for name, facts in found if train and facts]
        if any(sentences):
            notes[f"Images of {dataset}"] = " ".join(filter(None, sentences))
    return notes
