"""Outliers sampled by a Stable Diffusion: in latent space (OAL), or as images alone (Dream-OOD)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from synthood.common.settings import Name, Ref
from synthood.outliers.boundary_settings import BoundarySettings
from synthood.outliers.encoder_settings import AnyEncoder
from synthood.outliers.gate_settings import GateSettings
from synthood.outliers.kinds.base import OutlierKind
from synthood.outliers.latents_settings import CurveSettings, LatentsSettings


class SampledOutliers(OutlierKind):
    """Outliers sampled by a Stable Diffusion of this configuration."""

    generator: Annotated[Name, Ref("generators"), Field(description="a generator of kind stable-diffusion")]
    encoder: Annotated[AnyEncoder, Field(description="network whose embeddings outliers are sought among")]
    latents: LatentsSettings
    gate: GateSettings
    curve: Annotated[CurveSettings | None, Field(description="drawn for the report where given")] = None

    images = "gate.safetensors"
    sought: ClassVar[str]
    """The section that says which embeddings are outliers; it has `k` and `boundary_points`."""

    @model_validator(mode="after")
    def _vectors_that_can_be_moved(self) -> Self:
        if self.encoder.anchors == "contextual" and (self.latents.scale != "released" or self.curve):
            raise ValueError(
                "encoder.anchors contextual are no tokens that could be moved; take latents.scale: released, no curve"
            )
        return self

    @property
    def outside(self) -> str | None:
        return self.encoder.outside

    def pictures(self, judged: bool) -> list[str]:
        return ["gallery.png", *["curve.png"] * bool(self.curve)] if judged else [self.images]


class OutermostOutliers(SampledOutliers):
    """Outliers from noise around the outermost ID embeddings."""

    boundary: BoundarySettings

    sought = "boundary"


class LatentOutliers(OutermostOutliers):
    """OAL's outliers: latents, and those of ID images, for `outliers`; images for `exposure`."""

    kind: Literal["latent"] = "latent"
    paper = "arXiv 2406.16525"

    latent = True


class PixelOutliers(OutermostOutliers):
    """Dream-OOD's outliers: images alone, for `exposure`; no ID image is encoded."""

    kind: Literal["pixel"] = "pixel"
    paper = "arXiv 2309.13415"
