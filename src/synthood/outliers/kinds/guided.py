"""Outliers sampled by a Stable Diffusion whose denoising is led away from ID images by a classifier (GOOD)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from synthood.common.settings import Name, Ref
from synthood.outliers.gate_settings import GateSettings
from synthood.outliers.guidance_settings import GuidanceSettings
from synthood.outliers.kinds.base import OutlierKind


class GuidedOutliers(OutlierKind):
    """GOOD's outliers: images alone, for `exposure`, of plain prompts under a classifier's guidance."""

    kind: Literal["guided"] = "guided"
    generator: Annotated[Name, Ref("generators"), Field(description="a generator of kind stable-diffusion")]
    guidance: GuidanceSettings
    gate: GateSettings

    paper = "arXiv 2510.17131"
    images = "gate.safetensors"
    instead = {"latents.safetensors": "guided.safetensors"}

    def pictures(self, judged: bool) -> list[str]:
        return ["gallery.png"] if judged else [self.images]
