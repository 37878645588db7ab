"""A classifier of this configuration as the encoder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from synthood.common.lazy import Tensor, torch
from synthood.common.settings import NO_OUTLIERS, Name, Ref, Seed
from synthood.errors import SynthoodError
from synthood.outliers.encoders.base import ImageEncoder


class RecipeEncoder(ImageEncoder):
    """Penultimate features of a classifier of this configuration."""

    kind: Literal["recipe"] = "recipe"
    recipe: Annotated[
        Name,
        Ref("recipes", seed="seed", without=NO_OUTLIERS),
        Field(description="a recipe that learns without outliers"),
    ]
    seed: Annotated[Seed, Field(description="training seed of the recipe")] = 0

    @property
    def classifier(self) -> tuple[str, int]:
        return self.recipe, self.seed

    def features(self, model: Path | None, device: torch.device) -> Callable[[Tensor], Tensor]:
        from synthood.training.networks.model import Classifier

        if model is None:
            raise SynthoodError("embed: --model is missing; give the classifier whose features are taken")
        classifier = Classifier.load(model)
        network = classifier.network.to(device).eval()

        def features(images: Tensor) -> Tensor:
            inputs = classifier.normalised(images.to(device)).contiguous(memory_format=torch.channels_last)
            return network.features(inputs).float()

        return features
