"""Canonical feature snapshots: how usual an image is inside a denoiser that learned ID images."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from synthood.common.lazy import Tensor, torch
from synthood.common.settings import Name, Ref, Seed
from synthood.evaluation.detectors.base import GRID, Detector, State
from synthood.evaluation.features import Features, Reference

LEAST_VARIANCE = 1e-6
REGIONS = ("encoder", "decoder")


class Cfs(Detector):
    """Minus the squared distance of a fitted denoiser's pooled maps to their training means, by unit and variance.

    -mean over regions of mean_j (z_j - mu_j)^2 / s_j^2, z the means and deviations over the places of a map inside the
    U-Net, for the image with noise at one log signal-to-noise ratio; mu and s^2 are their training mean and variance.

    Read in the abstract and the release, which agree: one pass, one encoder and one decoder map (CFS 1x2; `regions:
    decoder` is its smaller variant), log ratio 5, this score. The paper's formulas could not be read. Ours: the
    project's denoiser is of latents, its image the autoencoder's mean, without a prompt; the noise follows from the
    image's pixels, so that a score does not depend on what else is scored; blocks are chosen by place alone.
    """

    kind: Literal["cfs"] = "cfs"
    generator: Annotated[Name, Ref("generators"), Field(description="a stable-diffusion with `fit`")]
    log_snr: Annotated[
        float, Field(ge=0), GRID, Field(description="log of signal over noise power; the nearest step of training")
    ] = 5.0
    regions: Annotated[
        Literal["both", "encoder", "decoder"], GRID, Field(description="of the U-Net; both: the mean of their scores")
    ] = "both"
    seed: Seed = 0

    paper = "arXiv 2605.11014"
    access = "denoiser"

    @property
    def outputs(self) -> list[str]:
        """Names of the pooled maps that it looks at."""
        asked = REGIONS if self.regions == "both" else (self.regions,)
        return [output_name(self.generator, self.log_snr, self.seed, region) for region in asked]

    def state(self, reference: Reference) -> State:
        every = [reference.train.outputs[name].double() for name in self.outputs]
        means = {f"mean.{index}": z.mean(0) for index, z in enumerate(every)}
        variances = {f"variance.{index}": z.var(0, correction=0) for index, z in enumerate(every)}
        return means | {name: variance.clamp(min=LEAST_VARIANCE) for name, variance in variances.items()}

    def confidence(self, x: Features, state: State) -> Tensor:
        distances = [
            ((x.outputs[name].double() - state[f"mean.{index}"]).square() / state[f"variance.{index}"]).mean(1)
            for index, name in enumerate(self.outputs)
        ]
        return -torch.stack(distances).mean(0).float()


def output_name(generator: str, log_snr: float, seed: int, region: str) -> str:
    """Where features have a pooled map among their outputs."""
    return f"{generator}/{log_snr:g}/{seed}/{region}"
