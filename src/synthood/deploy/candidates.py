"""Candidates for export: detectors fitted and searched on what calibrates nothing, compared by validation data."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from synthood.common.images import open_images
from synthood.deploy.export import rows
from synthood.deploy.extras import Extras, read_heads, through
from synthood.errors import SynthoodError
from synthood.evaluation.detectors.base import Detector
from synthood.evaluation.detectors.of_model.base import ModelDetector
from synthood.evaluation.ensembles import combined
from synthood.evaluation.feature_files import FeatureFolder
from synthood.evaluation.features import Features, Reference
from synthood.evaluation.hyperparameters import OutOfRangeError
from synthood.evaluation.model_search import Images, ImageValidation
from synthood.evaluation.model_search import fitted as fitted_on_images
from synthood.evaluation.probe import Probe
from synthood.evaluation.scoring import Score, together
from synthood.evaluation.search import Validation, fitted
from synthood.evaluation.selection import area
from synthood.training.method_settings import ExtractSettings, Methods
from synthood.training.networks.model import Classifier

Part = Callable[[str], Features]


@dataclass(frozen=True)
class Trained:
    """A candidate recipe: models and features of every seed, heads that detectors read, and all image files by part."""

    name: str
    models: Sequence[Path]
    folders: Sequence[FeatureFolder]
    methods: Methods
    heads: Path | None
    images: Mapping[str, Path]

    def part(self, name: str) -> Features:
        """Features of a part; of several models, their mean softmax."""
        members = [folder.part(name) for folder in self.folders]
        if len(members) == 1:
            return members[0]
        return combined(members, [f"{folder.folder}: {name}" for folder in self.folders])

    @cached_property
    def reference(self) -> Reference:
        """All but calibration images."""
        found = self.folders[0].reference()
        if len(self.folders) == 1:
            return found
        return replace(found, train=self.part("train"), val=self.part("val"))

    @cached_property
    def classifier(self) -> Classifier:
        return Classifier.load(self.models[0])

    @cached_property
    def extras(self) -> Extras:
        """What detectors of features need of the recipe."""
        if len(self.models) > 1:
            return Extras(classifiers=[Classifier.load(path) for path in self.models[1:]])
        if self.heads is not None:
            return read_heads(self.heads, ExtractSettings(heads=self.methods), self.classifier)
        return Extras()


@dataclass(frozen=True)
class Candidate:
    """A fitted detector of a recipe's models, its AUROC on validation data where several were compared.

    `part` gives the features that its score reads, by the name of a part.
    """

    recipe: Trained
    name: str
    score: Score
    auroc: float | None
    part: Part
    extras: Extras = field(default_factory=Extras)

    def __str__(self) -> str:
        return f"{self.recipe.name}, {self.name}"


def of_recipe(recipe: Trained, detectors: Mapping[str, Detector], compare: bool) -> list[Candidate]:
    """Every detector that the data allow, fitted, with grids searched; one alone that they do not allow raises."""
    of_model = {name: one for name, one in detectors.items() if isinstance(one, ModelDetector)}
    of_features = {name: one for name, one in detectors.items() if name not in of_model}
    found = of_reference(recipe, of_features, recipe.reference, compare)
    return found + [of_images(recipe, name, one, compare) for name, one in of_model.items()]


def of_reference(
    recipe: Trained, detectors: Mapping[str, Detector], reference: Reference, compare: bool
) -> list[Candidate]:
    """Detectors of features, by a reference that may have some of the validation images alone."""
    found, ood = [], recipe.part("ood_validation")
    for name, detector in detectors.items():
        try:
            scores, _ = fitted({name: detector}, Validation(reference, ood, str(recipe.folders[0].folder)))
        except OutOfRangeError as error:
            if not compare:
                raise
            print(f"note: {error}; {name} is no candidate")
            continue
        inside, outside = (together(scores, x)[name] for x in (reference.val, ood))
        auroc = area(inside, outside, name) if compare else None
        extras = recipe.extras if "outputs" in detector.inputs or len(recipe.models) > 1 else Extras()
        found.append(Candidate(recipe, name, scores[name], auroc, recipe.part, extras))
    return found


def of_images(recipe: Trained, name: str, detector: ModelDetector, compare: bool) -> Candidate:
    """A detector of the model, by passes over images."""

    def read(part: str) -> Images:
        return Images(*open_images(recipe.images[part]))

    probe = Probe.of(recipe.classifier, torch.device("cpu"))
    known = ImageValidation(read("train"), read("val"), read("ood_validation"))
    found = fitted_on_images(probe, recipe.classifier, {name: detector}, known)[0][name]

    def part(asked: str) -> Features:
        return through(found, recipe.classifier, read(asked))

    settings = detector.model_copy(update=found.values)
    score = settings.restored(found.state)
    auroc = area(score(part("val")), score(part("ood_validation")), name) if compare else None
    return Candidate(recipe, name, score, auroc, part, Extras(detector=found))


def best(candidates: Sequence[Candidate]) -> Candidate:
    """The one with the highest AUROC, the first of equals."""
    if not candidates:
        raise SynthoodError("deploy.detector: the data allow none of the candidates; name another")
    return max(candidates, key=lambda one: one.auroc or 0.0)


def with_val(reference: Reference, index: NDArray[np.int64]) -> Reference:
    """The reference with some of its validation images."""
    return replace(reference, val=rows(reference.val, index))
