"""Settings of the `outliers` section: how outliers are synthesised in latent space (OAL, arXiv 2406.16525)."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from synthood.common.settings import Name, Ref, Settings
from synthood.outliers.boundary_settings import BoundarySettings
from synthood.outliers.encoder_settings import AnyEncoder
from synthood.outliers.gate_settings import GateSettings
from synthood.outliers.latents_settings import CurveSettings, LatentsSettings


class SampledOutliers(Settings):
    """Outliers sampled by a Stable Diffusion of this configuration."""

    generator: Annotated[Name, Ref("generators"), Field(description="a generator of kind stable-diffusion")]
    encoder: Annotated[AnyEncoder, Field(description="network whose embeddings outliers are sought among")]
    boundary: BoundarySettings
    latents: LatentsSettings
    gate: GateSettings
    curve: Annotated[CurveSettings | None, Field(description="drawn for the report where given")] = None

    @model_validator(mode="after")
    def _vectors_that_can_be_moved(self) -> Self:
        if self.encoder.anchors == "contextual" and (self.latents.scale != "released" or self.curve):
            raise ValueError(
                "encoder.anchors contextual are no tokens that could be moved; take latents.scale: released, no curve"
            )
        return self


class LatentOutliers(SampledOutliers):
    """OAL's outliers (arXiv 2406.16525): latents, and those of ID images, for `outliers`; images for `exposure`."""

    kind: Literal["latent"]


class PixelOutliers(SampledOutliers):
    """Dream-OOD's outliers (arXiv 2309.13415): images alone, for `exposure`; no ID image is encoded."""

    kind: Literal["pixel"]


Outliers = Annotated[LatentOutliers | PixelOutliers, Field(discriminator="kind")]
