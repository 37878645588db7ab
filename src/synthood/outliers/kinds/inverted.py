"""Outliers in the conditioning space of a Stable Diffusion, outside the manifolds of inverted ID images (NCIS)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from synthood.common.settings import Name, Ref
from synthood.outliers.gate_settings import GateSettings
from synthood.outliers.inverted_settings import FlowSettings, InversionSettings, TailSettings
from synthood.outliers.kinds.base import OutlierKind
from synthood.outliers.latents_settings import TokenLatents


class InvertedOutliers(OutlierKind):
    """NCIS's outliers: latents of tokens outside the manifolds of inverted ID images, and those of ID images."""

    kind: Literal["inverted"] = "inverted"
    generator: Annotated[Name, Ref("generators"), Field(description="a generator of kind stable-diffusion")]
    inversion: InversionSettings = InversionSettings()
    flow: FlowSettings = FlowSettings()
    tail: TailSettings = TailSettings()
    latents: TokenLatents
    gate: GateSettings

    paper = "arXiv 2411.13619"
    images = "gate.safetensors"
    latent = True
    instead = {"embeddings.safetensors": "inverted.safetensors", "boundary.safetensors": "tails.safetensors"}

    def pictures(self, judged: bool) -> list[str]:
        return ["gallery.png"] if judged else [self.images]
