"""Prompts over class words and glosses: what stands for a class, and which prompt an image takes."""

from collections.abc import Mapping, Sequence

from synthood.common.seeds import derived_seed
from synthood.errors import SynthoodError
from synthood.generators.folder import Description


def for_classes(classes: Sequence[str], table: Mapping[str, str], key: str) -> list[str]:
    """The table's text for each class, or its name with spaces for underscores; no text may be for nobody."""
    for name in table:
        if name not in classes:
            raise SynthoodError(f"{key}.{name}: no class is named so; the classes are {', '.join(classes)}")
    return [table.get(name, name.replace("_", " ")) for name in classes]


def glosses_of(classes: Sequence[str], words: Sequence[str], table: Mapping[str, str]) -> list[str]:
    """The table's gloss for each class, or its word."""
    for_classes(classes, table, "glosses")
    return [table.get(name, word) for name, word in zip(classes, words, strict=True)]


def prompts_of(
    description: Description, templates: Sequence[str], labels: Sequence[int], seeds: Sequence[int]
) -> list[str]:
    """A prompt per image, of its class; which of the templates says the image's own seed."""
    choices = list(templates) or [description.prompt]
    words = description.class_words
    glosses = description.glosses or words
    return [
        choices[derived_seed(seed, "prompt") % len(choices)].format(word=words[label], gloss=glosses[label])
        for label, seed in zip(labels, seeds, strict=True)
    ]
