"""Terms whose trained heads detectors read once training is done."""

from pathlib import Path

import torch

from synthood.common.tensors import read_tensors
from synthood.errors import SynthoodError
from synthood.training.method_settings import Npos
from synthood.training.settings import HeadSettings, RecipeSettings
from synthood.training.terms.boundary_synthesis import BoundarySynthesis
from synthood.training.terms.deconfidence import DividedConfidence
from synthood.training.terms.discrepancy import ClassifierDiscrepancy
from synthood.training.terms.heads import Term
from synthood.training.terms.rotation import RotationPrediction
from synthood.training.terms.supervised_contrast import SupervisedContrast
from synthood.training.terms.virtual_outliers import VirtualOutlierSynthesis


def reading_terms(settings: RecipeSettings | HeadSettings, features: int, classes: int) -> dict[str, Term]:
    """Terms whose heads detectors read, by the recipe's key."""
    terms: dict[str, Term] = {}
    if settings.rotation:
        terms["rotation"] = RotationPrediction(settings.rotation, features)
    if settings.godin:
        terms["godin"] = DividedConfidence(settings.godin, features)
    if isinstance(settings.contrastive, Npos):
        terms["contrastive"] = BoundarySynthesis(settings.contrastive, features, classes)
    elif settings.contrastive:
        terms["contrastive"] = SupervisedContrast(settings.contrastive, features, classes)
    if settings.virtual_outliers:
        terms["virtual_outliers"] = VirtualOutlierSynthesis(settings.virtual_outliers, features, classes)
    return terms


def read_terms(path: Path, settings: HeadSettings, features: int, classes: int) -> dict[str, Term]:
    """The same as `train` left them in heads.safetensors, and MCD's second layer, which is trained beside images."""
    terms = reading_terms(settings, features, classes)
    if settings.discrepancy:
        terms["discrepancy"] = ClassifierDiscrepancy(settings.discrepancy, features, classes)
    arrays, _ = read_tensors(path)
    for name, term in terms.items():
        own = {k.removeprefix(f"{name}."): torch.from_numpy(v) for k, v in arrays.items() if k.startswith(f"{name}.")}
        wrong = (set(own) ^ set(term.state_dict())) - set(term.passing)
        if wrong or any(value.shape != term.state_dict()[key].shape for key, value in own.items()):
            raise SynthoodError(f"{path}: does not hold the head `{name}` of this recipe; train the recipe again")
        term.load_state_dict(own, strict=False)
        term.eval()
    return terms
