"""Which terms a recipe's loss has beside cross-entropy."""

from pathlib import Path

import numpy as np
from torch import nn

from synthood.training.method_settings import RegMixup
from synthood.training.networks.model import Classifier
from synthood.training.outlier_set import OutlierSet
from synthood.training.settings import RecipeSettings
from synthood.training.terms.consistency import AugMixConsistency
from synthood.training.terms.contrast import contrasts
from synthood.training.terms.discrepancy import ClassifierDiscrepancy
from synthood.training.terms.distillation import Distillation, load_teacher
from synthood.training.terms.exposure import OutlierExposure, OutlierImages, Prepared
from synthood.training.terms.exposure_settings import DiscrepancyExposure, Exposure, LogisticExposure, MixedExposure
from synthood.training.terms.heads import Term, initialised
from synthood.training.terms.logistic_exposure import LogisticEnergies
from synthood.training.terms.mixed_exposure import OutlierMixing
from synthood.training.terms.mixing import MixedBeside
from synthood.training.terms.reading import reading_terms


def terms_of(
    recipe: RecipeSettings,
    classifier: Classifier,
    teacher: Path | None,
    outliers: OutlierSet | None,
    seed: int,
    exposure: OutlierImages | None = None,
) -> nn.ModuleDict:
    """The parts of the loss beside cross-entropy, by name, initialised from the seed."""
    network = classifier.network
    features, device, classes = network.head.in_features, next(network.parameters()).device, len(classifier.classes)
    terms: dict[str, Term] = {}
    if recipe.teacher and teacher is not None:
        terms["distillation"] = Distillation(
            recipe.teacher, load_teacher(teacher, classifier, device), features, classifier
        )
    if recipe.outliers and outliers is not None:
        for contrast in contrasts(recipe.outliers, outliers, classes, features):
            terms[contrast.name] = contrast
    if isinstance(recipe.mixing, RegMixup):
        terms["regmixup"] = MixedBeside(recipe.mixing, classes, recipe.label_smoothing)
    if exposure is not None:
        terms[exposure.name] = exposure
    if recipe.consistency:
        terms["consistency"] = AugMixConsistency(recipe.consistency, classifier.mean, classifier.deviation)
    terms |= reading_terms(recipe, features, classes)
    return nn.ModuleDict({name: initialised(term, seed, name) for name, term in terms.items()})


def exposure_of(
    settings: Exposure, images: np.ndarray, prepared: Prepared, features: int, classes: int, smoothing: float
) -> OutlierImages:
    """What a recipe learns from outlier images uint8 [M,H,W,3]."""
    if isinstance(settings, MixedExposure):
        return OutlierMixing(settings, images, prepared, classes)
    if isinstance(settings, DiscrepancyExposure):
        return ClassifierDiscrepancy(settings, features, classes, smoothing, images, prepared)
    if isinstance(settings, LogisticExposure):
        return LogisticEnergies(settings, images, prepared)
    return OutlierExposure(settings, images, prepared)
