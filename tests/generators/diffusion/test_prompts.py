"""Which words and prompts stand for a class."""

import pytest

from synthood.errors import SynthoodError
from synthood.generators.diffusion.prompts import for_classes, glosses_of, prompts_of
from synthood.generators.folder import Description

CLASSES = ["aquarium_fish", "n02123045", "dog"]
WORDS = {"n02123045": "tabby cat"}


def test_words_come_from_the_table_or_the_name() -> None:
    assert for_classes(CLASSES, WORDS, "words") == ["aquarium fish", "tabby cat", "dog"]


def test_a_word_for_nobody_is_told() -> None:
    with pytest.raises(
        SynthoodError, match=r"words.n0212: no class is named so; the classes are aquarium_fish, n02123"
    ):
        for_classes(CLASSES, {"n0212": "tabby"}, "words")
    with pytest.raises(SynthoodError, match=r"glosses\.cat: no class is named so"):
        glosses_of(CLASSES, CLASSES, {"cat": "purrs"})


def test_prompts_are_chosen_by_the_images_own_seed() -> None:
    """All templates are taken, about equally often; an image's prompt depends on nothing but its seed and class."""
    words = for_classes(CLASSES, WORDS, "words")
    glosses = glosses_of(CLASSES, words, {"dog": "an animal that barks"})
    description = Description("stable-diffusion", CLASSES, "a {word}", words=words, glosses=glosses)
    templates = ["a photo of a {word}", "a {word}, {gloss}"]
    labels, seeds = [0, 1, 2] * 100, [*range(300)]
    made = prompts_of(description, templates, labels, seeds)
    assert set(made) == {
        "a photo of a aquarium fish",
        "a photo of a tabby cat",
        "a photo of a dog",
        "a aquarium fish, aquarium fish",
        "a tabby cat, tabby cat",
        "a dog, an animal that barks",
    }
    assert 110 < sum(prompt.startswith("a photo") for prompt in made) < 190
    assert prompts_of(description, templates, labels[7:9], seeds[7:9]) == made[7:9]
    assert prompts_of(description, [], labels[:2], seeds[:2]) == ["a aquarium fish", "a tabby cat"]


def test_without_a_table_the_classes_stand_for_themselves() -> None:
    description = Description("stable-diffusion", ["one", "two"], "the digit {word}")
    assert prompts_of(description, [], [1, 0], [3, 4]) == ["the digit two", "the digit one"]
