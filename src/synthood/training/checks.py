"""Whether sets of images, models and a recipe go together."""

from pathlib import Path

import numpy as np

from synthood.common.ranks import SINGLE_PROCESS, Ranks
from synthood.errors import SynthoodError
from synthood.training.feed import JoinedSet, Labelled
from synthood.training.networks.frozen import FeatureSet
from synthood.training.outlier_set import OutlierSet
from synthood.training.settings import RecipeSettings

SHOWN = 5


def check_inputs(
    recipe: RecipeSettings,
    real: Labelled,
    validation: Labelled,
    synthetic: Labelled | JoinedSet | None,
    warm_start: Path | None,
    teacher: Path | None,
    outliers: OutlierSet | None,
    exposed: np.ndarray | None = None,
    ranks: Ranks = SINGLE_PROCESS,
) -> None:
    """Raises where the sets cannot be trained on together, or a model that the recipe names is not given."""
    cached = isinstance(real, FeatureSet)
    if recipe.network.frozen != cached:
        raise SynthoodError(
            f"the recipe {'needs' if recipe.network.frozen else 'cannot take'} features of a frozen backbone; "
            f"give it what {'backbone_features' if recipe.network.frozen else 'prepare'} wrote"
        )
    if recipe.batch_size > len(real):
        raise SynthoodError(f"batch_size {recipe.batch_size} is larger than the {len(real)} training images")
    others: dict[str, Labelled | JoinedSet | None] = {"validation": validation, "synthetic": synthetic}
    for name, other in others.items():
        if other is None:
            continue
        if other.classes != real.classes:
            raise SynthoodError(f"the {name} images have classes {other.classes}, the training images {real.classes}")
        # Validation features have the clean view alone.
        first = 2 if cached else 1
        if other.images.shape[first:] != real.images.shape[first:]:
            raise SynthoodError(
                f"the {name} images are {other.images.shape[1:]}, the training images {real.images.shape[1:]}"
            )
    for what, named, given in (
        ("a teacher", recipe.teacher, teacher),
        ("a warm start", recipe.warm_start, warm_start),
        ("outliers", recipe.outliers, outliers),
        ("outlier images", recipe.exposure, exposed),
    ):
        if named is not None and given is None:
            raise SynthoodError(f"the recipe names {what}, and none is given")
    for method in [] if cached else recipe.methods:
        method.check_images(*real.images.shape[1:3])
    images = np.bincount(real.labels, minlength=len(real.classes)).tolist()
    for method in recipe.methods:
        method.check_classes(dict(zip(real.classes, images, strict=True)), recipe)
    if recipe.real_per_batch < recipe.batch_size and synthetic is None:
        raise SynthoodError(f"alpha {recipe.effective_alpha:.3g} asks for synthetic images, and none are given")
    if recipe.real_per_batch < recipe.batch_size and synthetic is not None:
        missing = sorted(set(real.labels.tolist()) - set(synthetic.labels.tolist()))
        if missing:
            names = ", ".join(real.classes[label] for label in missing[:SHOWN])
            raise SynthoodError(
                f"the synthetic images have none of {len(missing)} of the {len(real.classes)} classes ({names}"
                f"{', ...' if len(missing) > SHOWN else ''}); make more of them, or take classes away"
            )
    last = recipe.batch_size if recipe.real_per_batch < recipe.batch_size else len(real) % recipe.batch_size
    smallest = min(last or recipe.batch_size, recipe.batch_size)
    if smallest < ranks.count:
        raise SynthoodError(
            f"a batch of {smallest} images cannot be shared by {ranks.count} devices; take another batch_size, or fewer"
        )
