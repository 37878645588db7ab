"""Images and labels mixed in pairs across the batch: CutMix, mixup and RegMixup."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from synthood.common.lazy import F, Tensor, torch
from synthood.common.seeds import numpy_generator
from synthood.common.settings import Fraction, Positive
from synthood.training.methods.base import Method, Weight
from synthood.training.methods.term import AuxiliaryInputs, Batch, Context, Term
from synthood.training.terms.losses import cross_entropy


class Mixing(Method):
    """A batch mixed with itself."""

    key = "mixing"
    meaning = "of images and labels of a batch in pairs"
    order = 3
    per_sample = False


class InPlace(Mixing):
    """Mixed images in the place of the batch's."""

    mixes_labels = True

    beta: Annotated[Positive, Field(description="of the share's Beta(beta, beta)")] = 1.0
    probability: Annotated[Fraction, Field(description="that an image is mixed with another")] = 1.0

    def mixed(self, inputs: Tensor, labels: Tensor, classes: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Inputs float32 [N,3,H,W] and targets [N,C], each image with a random partner and a share of its own."""
        partner = torch.randperm(len(inputs), generator=random).to(inputs.device, non_blocking=True)
        images, share = blended(inputs, inputs[partner], self, random)
        hot = F.one_hot(labels, classes).float()
        return images, share[:, None] * hot + (1 - share)[:, None] * hot[partner]


class CutMix(InPlace):
    """A box of each image comes from another, and so does its share of the label."""

    paper = "arXiv 1905.04899"
    needs_pixels = "it puts boxes of one image into another"

    kind: Literal["cutmix"] = "cutmix"


class Mixup(InPlace):
    """Images and labels blended in pairs."""

    paper = "arXiv 1710.09412"

    kind: Literal["mixup"] = "mixup"


class RegMixup(Mixing):
    """Cross-entropy of blended pairs, added to that of the images."""

    paper = "arXiv 2206.14502"

    kind: Literal["regmixup"] = "regmixup"
    beta: Annotated[Positive, Field(description="of the share's Beta(beta, beta)")] = 10.0
    weight: Weight = 1.0

    def terms(self, context: Context) -> dict[str, Term]:
        return {"regmixup": MixedAuxiliary(self, context.classes, context.label_smoothing)}


def blended(inputs: Tensor, partners: Tensor, settings: InPlace, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Images float32 [N,3,H,W], or features [N,D], with their partners, and the shares [N] that are their own.

    mixup (arXiv 1710.09412, eq. 1): x = s x_i + (1 - s) x_j, s ~ Beta(beta, beta). CutMix (arXiv 1905.04899, eq. 1
    and 2): a box of area 1 - s at a random centre comes from x_j, and s becomes the share that the box left over.
    """
    count, numbers = len(inputs), numpy_generator(random)
    share = torch.from_numpy(numbers.beta(settings.beta, settings.beta, count)).float()
    share[torch.rand(count, generator=random) >= settings.probability] = 1
    share = share.to(inputs.device, non_blocking=True)
    if isinstance(settings, CutMix):
        centres = torch.rand((count, 2), generator=random).to(inputs.device, non_blocking=True)
        inside = boxes(share, centres, inputs.shape[2], inputs.shape[3])
        return torch.where(inside[:, None], partners, inputs), 1 - inside.float().mean((1, 2))
    shares = share.view(-1, *[1] * (inputs.ndim - 1))
    return shares * inputs + (1 - shares) * partners, share


def boxes(share: Tensor, centres: Tensor, height: int, width: int) -> Tensor:
    """Bool [N,H,W]: boxes of the image's proportions and of area 1 - share [N], cut at its edges; centres in [0,1)."""

    def within(centre: Tensor, length: int) -> Tensor:
        half = ((1 - share).sqrt() * length).floor() / 2
        middle = (centre * length).floor()
        pixel = torch.arange(length, device=share.device)
        return (pixel >= (middle - half).floor()[:, None]) & (pixel < (middle + half).floor()[:, None])

    return within(centres[:, 0], height)[:, :, None] & within(centres[:, 1], width)[:, None, :]


class MixedAuxiliary(Term):
    """RegMixup (arXiv 2206.14502, eq. 4): cross-entropy of mixup's images, added to that of the images themselves."""

    def __init__(self, settings: RegMixup, classes: int, smoothing: float) -> None:
        super().__init__()
        self.settings, self.classes, self.smoothing = settings, classes, smoothing

    def auxiliary_inputs(self, inputs: Tensor, labels: Tensor, random: torch.Generator) -> AuxiliaryInputs:
        return AuxiliaryInputs(*Mixup(beta=self.settings.beta).mixed(inputs, labels, self.classes, random))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        auxiliary = batch.auxiliary["regmixup"]
        return {"regmixup": self.settings.weight * cross_entropy(auxiliary.logits, auxiliary.targets, self.smoothing)}
