"""Classes that a pretrained network has seen under a name like that of a class which is to be unknown."""

import importlib.util
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from synthood.training.networks.pretraining import Pretraining

LEAST_IN_COMPOUND = 5
"""Letters of a word that is looked for at the end of another, as skirt in miniskirt but not hat in that."""


def backbone_facts(pretraining: Pretraining, ood_classes: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """As JSON, with `compared_with`, the data sets whose class names are at hand, and `alike`: names there by class."""
    labels = {name: found for name in pretraining.trained_on if (found := labels_of(name))}
    every = list(dict.fromkeys(one for names in labels.values() for one in names))
    classes = list(dict.fromkeys(name for names in ood_classes.values() for name in names))
    alike = {name: like(name, every) for name in classes} if labels else {}
    return asdict(pretraining) | {"compared_with": list(labels), "alike": alike}


def labels_of(data_set: str) -> list[str]:
    """Names of a data set's classes, synonyms behind commas where timm is installed; empty where none are at hand."""
    found: list[str] = []
    if data_set == "ImageNet-1k":
        from torchvision import models  # its import takes a second

        found += models.get_model_weights("resnet18").DEFAULT.meta["categories"]
    if importlib.util.find_spec("timm") is not None:
        from timm.data import ImageNetInfo

        known: list[str] = ImageNetInfo(data_set).label_descriptions()
        found = [*known, *(one for one in found if not any(one in names.split(", ") for names in known))]
    return found


def like(name: str, labels: Iterable[str]) -> list[str]:
    """Labels one of whose synonyms ends as the name does, in singular or plural: hat in cowboy hat, shoe for shoes."""
    wanted = words(name)
    return [label for label in labels if wanted and any(ends(words(one), wanted) for one in label.split(","))]


def ends(phrase: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether a phrase ends with these words, the first of which may be the end of a longer one."""
    if len(phrase) < len(wanted) or list(phrase[len(phrase) - len(wanted) + 1 :]) != list(wanted[1:]):
        return False
    first, one = wanted[0], phrase[-len(wanted)]
    return one == first or (len(first) >= LEAST_IN_COMPOUND and one.endswith(first))


def words(name: str) -> list[str]:
    """Words in small letters, the last one in singular."""
    found = re.findall(r"[^\W_]+", name.lower())
    return [*found[:-1], singular(found[-1])] if found else []


def singular(word: str) -> str:
    """An English plural's singular: shoes, dresses, berries; other words as they are."""
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    if re.search(r"(ss|x|z|ch|sh)es$", word):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word
