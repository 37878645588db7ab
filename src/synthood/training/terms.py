"""Which terms a recipe's loss has beside cross-entropy."""

from pathlib import Path

from torch import nn

from synthood.training.contrast import contrasts
from synthood.training.distillation import Distillation, load_teacher
from synthood.training.exposure import OutlierExposure
from synthood.training.heads import Term, initialised
from synthood.training.method_settings import RegMixup
from synthood.training.mixing import MixedBeside
from synthood.training.model import Classifier
from synthood.training.outlier_set import OutlierSet
from synthood.training.reading import reading_terms
from synthood.training.settings import RecipeSettings


def terms_of(
    recipe: RecipeSettings,
    classifier: Classifier,
    teacher: Path | None,
    outliers: OutlierSet | None,
    seed: int,
    exposure: OutlierExposure | None = None,
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
        terms["exposure"] = exposure
    terms |= reading_terms(recipe, features, classes)
    return nn.ModuleDict({name: initialised(term, seed, name) for name, term in terms.items()})
