"""Recipes: the composition of batches and what is refused."""

import math
from fractions import Fraction
from typing import Any

import pytest
from pydantic import ValidationError

from synthood.training.methods.teacher import Teacher
from synthood.training.networks.architectures.residual import Network
from synthood.training.settings import RecipeSettings, Synthetic, TrainSettings

BASE: dict[str, Any] = {
    "network": Network(name="resnet8"),
    "epochs": 1,
    "batch_size": 10,
    "learning_rate": 0.1,
}


def recipe(alpha: float | None = None, batch_size: int = 10, **more: Any) -> RecipeSettings:
    synthetic = None if alpha is None else Synthetic.model_validate({"from": "biggan", "alpha": alpha})
    return RecipeSettings(**(BASE | {"batch_size": batch_size, "synthetic": synthetic} | more))


@pytest.mark.parametrize(
    ("batch_size", "alpha", "real"),
    [(10, 0.3, 3), (128, 0.8, 102), (10, 0.7, 7), (100, 0.29, 29), (10, 0.39, 3), (10, 0.999, 9), (128, 0.5, 64)],
)
def test_real_images_of_a_batch(batch_size: int, alpha: float, real: int) -> None:
    """10 * 0.3 and 100 * 0.29 fall below 3 and 29 in floating point."""
    made = recipe(alpha, batch_size)
    assert made.real_per_batch == real
    assert made.effective_alpha == real / batch_size


def test_every_hundredth_is_exact() -> None:
    for hundredths in range(1, 100):
        for batch_size in (100, 128, 200, 250):
            expected = math.floor(batch_size * Fraction(hundredths, 100))
            assert recipe(hundredths / 100, batch_size).real_per_batch == expected


def test_alpha_1_and_no_synthetic_images_are_all_real() -> None:
    assert recipe(1.0).real_per_batch == recipe(None).real_per_batch == 10
    assert recipe(1.0).effective_alpha == 1.0


@pytest.mark.parametrize(
    ("alpha", "counts"),
    [
        (0.09, "leaves 0 real and 10 synthetic images of a batch of 10"),
        (1 - 1e-12, "leaves 10 real and 0 synthetic images of a batch of 10"),
    ],
)
def test_alpha_that_leaves_one_kind_out_names_both_counts(alpha: float, counts: str) -> None:
    with pytest.raises(ValidationError, match=counts):
        recipe(alpha)


@pytest.mark.parametrize("batch_size", [2, 10, 100])
def test_alpha_at_the_ends_of_what_the_message_offers(batch_size: int) -> None:
    assert recipe(1 / batch_size, batch_size).real_per_batch == 1
    assert recipe(1 - 1 / batch_size, batch_size).real_per_batch == batch_size - 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"batch_size": 1},
        {"learning_rate": 0.0},
        {"learning_rate": math.nan},
        {"momentum": 1.5},
        {"label_smoothing": 1.0},
        {"warmup": -0.1},
        {"weight_decay": -1e-4},
        {"epochs": "3"},
        {"precision": "float16"},
        {"epoch": 3},
    ],
)
def test_values_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        recipe(**wrong) if "batch_size" not in wrong else RecipeSettings(**(BASE | wrong))


@pytest.mark.parametrize("alpha", [0.0, -0.5, 1.5])
def test_alpha_is_a_share(alpha: float) -> None:
    with pytest.raises(ValidationError, match="alpha"):
        Synthetic.model_validate({"from": "biggan", "alpha": alpha})


def test_canonical_text_reads_back() -> None:
    settings = TrainSettings(recipe=recipe(0.5, teacher=Teacher(recipe="plain", logit_weight=2.0)), precision="float32")
    text = settings.canonical()
    assert '"from":"biggan"' in text
    assert TrainSettings.parse(text) == settings


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"class_weights": "balanced", "mixing": {"kind": "cutmix"}}, "class_weights need .* `mixing.kind cutmix`"),
        ({"class_weights": {"hat": 2.0}, "virtual_outliers": {}}, "class_weights need .* `virtual_outliers` is not"),
        ({"class_weights": {"hat": 0.0}}, "greater than 0"),
        ({"class_weights": "balanced", "sampling": "balanced"}, "both balance the classes; take one of them"),
    ],
)
def test_balances_that_are_refused(more: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        recipe(None, **more)


def test_without_balance_a_recipe_keeps_its_text() -> None:
    assert "class_weights" not in TrainSettings(recipe=recipe(None)).canonical()
    assert "sampling" not in TrainSettings(recipe=recipe(None)).canonical()
    assert recipe(None, class_weights={"hat": 2.0}, sampling="balanced").class_weights == {"hat": 2.0}
