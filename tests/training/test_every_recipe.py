"""Every recipe of the configuration of methods trains: a step on real images, and one more with what it names."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from synthood.common.iterate import ResumeFile
from synthood.config.load import load_file
from synthood.training.fit import train
from synthood.training.settings import RecipeSettings, TrainSettings
from synthood.training.terms.build import learned

CONFIG = load_file(Path(__file__).parents[2] / "configs" / "digits-methods.yaml")
RECIPES = {name: recipe for name, recipe in CONFIG.recipes.items() if isinstance(recipe, RecipeSettings)}


@pytest.mark.parametrize("name", list(RECIPES))
def test_it_trains(name: str, make_images: Any, make_outliers: Any) -> None:
    real, synthetic = make_images(24, 0), make_images(12, 1)
    # Small and short, so that every recipe's terms begin within the two steps.
    short = {"epochs": 2, "batch_size": 24, "precision": "float32"}
    if RECIPES[name].virtual_outliers:
        short["virtual_outliers"] = {"queue": 2, "start": 0.0, "candidates": 20}
    if RECIPES[name].shell_outliers:
        own = {"queue": 4, "start": 0.0, "inner": 0.3, "outer": 0.6}
        short["shell_outliers"] = RECIPES[name].shell_outliers.model_dump() | own
    if RECIPES[name].contrastive and RECIPES[name].contrastive.kind == "npos":
        own = {"queue": 2, "k": 1, "boundary_points": 2, "start": 0.0}
        short["contrastive"] = RECIPES[name].contrastive.model_dump() | own
    raw = RECIPES[name].model_dump(mode="json", by_alias=True, exclude_none=True)
    recipe = RecipeSettings.model_validate(raw | short)
    classifier, terms, history = train(
        TrainSettings(recipe=recipe),
        0,
        real,
        make_images(9, 2),
        synthetic if recipe.synthetic else None,
        torch.device("cpu"),
        ResumeFile(None, ""),
        outliers=make_outliers(real.labels) if recipe.outliers else None,
        exposed=np.random.default_rng(0).integers(0, 256, (7, 8, 8, 3), np.uint8) if recipe.exposure else None,
    )
    assert len(history) == 2
    assert all(np.isfinite(list(row.values())).all() for row in history)
    assert all(value.isfinite().all() for value in classifier.network.state_dict().values())
    assert all(value.isfinite().all() for value in learned(terms).values())
    losses = set(history[-1]) - {"epoch", "learning_rate", "loss", "cross_entropy", "accuracy", "val_accuracy"}
    assert all(history[-1][key] != 0 for key in losses)
    beside = ["rotation", "exposure", "consistency", "contrastive", "virtual_outliers", "outliers"]
    beside += ["shell_outliers", "attributed_outliers"]
    assert bool(losses) == (any(getattr(recipe, key) for key in beside) or "regmixup" in name)


def test_every_method_has_its_recipe_with_synthetic_images() -> None:
    """Beside each recipe on real images stands one that differs in `synthetic` alone."""
    plain = {name: recipe for name, recipe in RECIPES.items() if not recipe.synthetic and name not in ("ce", "judge")}
    for name, recipe in plain.items():
        auxiliary = RECIPES[f"{name}-sio"]
        assert auxiliary.model_copy(update={"synthetic": None}) == recipe, name
