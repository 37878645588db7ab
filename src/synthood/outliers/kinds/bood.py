"""BOOD's outliers: ID embeddings pushed across the decision boundary, then sampled by a Stable Diffusion."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from synthood.outliers.crossing import CrossingSettings
from synthood.outliers.kinds.sampled import SampledOutliers


class CrossedOutliers(SampledOutliers):
    """Outliers from ID embeddings that are pushed across the decision boundary."""

    crossing: CrossingSettings

    paper = "arXiv 2508.00350"
    sought = "crossing"

    @model_validator(mode="after")
    def _words_classify(self) -> Self:
        if not self.encoder.fitted:
            raise ValueError(
                f"{self.kind} pushes embeddings by the class words, to which encoder.kind {self.encoder.kind} is not "
                f"fitted; take encoder.kind text-aligned"
            )
        return self


class BoodPixelOutliers(CrossedOutliers):
    """BOOD's outliers: images alone, for `exposure`; no ID image is encoded."""

    kind: Literal["bood-pixel"] = "bood-pixel"


class BoodLatentOutliers(CrossedOutliers):
    """BOOD's outliers as OAL's: latents, and those of ID images, for `outliers`; images for `exposure`."""

    kind: Literal["bood-latent"] = "bood-latent"

    latent = True
