"""ASCOOD: outliers from ID images by the gradient of their class's logit, with uniform posteriors on them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from synthood.common.lazy import Tensor, torch
from synthood.common.settings import Positive
from synthood.training.methods.base import Method, Weight
from synthood.training.methods.term import AuxiliaryInputs, Batch, Context, Term
from synthood.training.terms.losses import mean

if TYPE_CHECKING:
    from synthood.training.networks.architectures.base import ImageNetwork


class AttributedOutliers(Method):
    """Uniform posteriors on ID images that are changed where their class's logit depends on them most."""

    key = "attributed_outliers"
    paper = "ASCOOD, arXiv 2411.10794"
    order = 5
    hard_labels = True
    needs_pixels = "its outliers are changed pixels"

    kind: Literal["attributed_outliers"] = "attributed_outliers"
    weight: Weight = 1.0
    form: Annotated[
        Literal["gradient", "subtracted", "shuffle", "noise"],
        Field(
            description="gradient: added, the paper's; subtracted: its ablation; shuffle: pixels exchanged, as "
            "released for CIFAR; noise: no image at all, as released for CelebA, the control"
        ),
    ] = "gradient"
    share: Annotated[
        float, Field(gt=0, le=1, description="of an image's numbers (of its pixels under shuffle) that are changed")
    ] = 0.1
    strength: Annotated[
        Positive,
        Field(
            description="of the gradient or the noise, at first; it depends on network and data: released are 300, 0.1"
        ),
    ] = 10.0
    final_strength: Annotated[
        Positive | None, Field(description="at the end of a linear course, as released; null: strength throughout")
    ] = None

    def terms(self, context: Context) -> dict[str, Term]:
        return {"attributed_outliers": AttributionSynthesis(self, context)}


class AttributionSynthesis(Term):
    """ASCOOD (arXiv 2411.10794): cross-entropy, and KL(U || p(x')) of x' = x + a G on the largest |G|, G = dz_y/dx.

    Read: the published code, the abstract and a summary of the paper; its text was not at hand. In the code a falls
    linearly over the epochs (here over the steps), CIFAR's outliers have the pixels of the largest sum_c exp(G_c) in
    another order, and CelebA's are noise; the paper's formula has one a. Gradients are those of the network in
    evaluation. An image without any gradient would be its own outlier, and has no part in the loss. Standardised
    features are the network's: `head: {kind: standardised}`.
    """

    training_only_buffers = ("progress",)

    def __init__(self, settings: AttributedOutliers, context: Context) -> None:
        super().__init__()
        self.settings = settings
        # In a list, so that the network's weights stay out of this module's state.
        self.network = [] if context.classifier is None else [context.classifier.network]
        self.register_buffer("progress", torch.zeros(()))

    def auxiliary_inputs(self, inputs: Tensor, labels: Tensor, random: torch.Generator) -> AuxiliaryInputs:
        settings = self.settings
        last = settings.strength if settings.final_strength is None else settings.final_strength
        strength = last + (settings.strength - last) * (1 - self.get_buffer("progress"))
        if settings.form == "noise":
            noise = torch.randn(inputs.shape, generator=random).to(inputs.device, non_blocking=True)
            return AuxiliaryInputs(strength * noise, inputs.new_ones(len(inputs)))
        gradient = attribution(self.network[0], inputs, labels)
        if settings.form == "shuffle":
            changed = shuffled(inputs, gradient, settings.share, random)
        else:
            sign = 1 if settings.form == "gradient" else -1
            changed = inputs + sign * strength * largest(gradient, settings.share)
        return AuxiliaryInputs(changed, gradient.flatten(1).any(1).to(inputs.dtype))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        self.get_buffer("progress").fill_(batch.progress)  # of the next step's outliers
        outliers = batch.auxiliary["attributed_outliers"]
        loss = mean(outliers.targets * divergence_from_uniform(outliers.logits), batch.weights)
        return {"attributed_outliers": self.settings.weight * loss}


def attribution(network: ImageNetwork, inputs: Tensor, labels: Tensor) -> Tensor:
    """Gradients float32 [N,3,H,W] of the logits of labels int64 [N], of the network in evaluation."""
    trains = network.training
    network.eval()
    leaf = inputs.detach().requires_grad_()
    logits = network(leaf).gather(1, labels[:, None])
    (gradient,) = torch.autograd.grad(logits.sum(), leaf)
    network.train(trains)
    return gradient


def largest(gradient: Tensor, share: float) -> Tensor:
    """Gradients [N,3,H,W] where their absolute values are the largest share of an image's, zero elsewhere."""
    flat = gradient.flatten(1)
    chosen = flat.abs().topk(max(1, int(share * flat.shape[1])), 1).indices
    return torch.zeros_like(flat).scatter(1, chosen, flat.gather(1, chosen)).view_as(gradient)


def shuffled(inputs: Tensor, gradient: Tensor, share: float, random: torch.Generator) -> Tensor:
    """Inputs [N,3,H,W] whose pixels of the largest sum_c exp(G_c) have changed places among themselves."""
    pixels, scores = inputs.flatten(2), gradient.exp().sum(1).flatten(1)
    count = max(1, int(share * scores.shape[1]))
    chosen = scores.topk(count, 1).indices
    order = torch.rand((len(inputs), count), generator=random).argsort(1).to(inputs.device, non_blocking=True)
    places = chosen[:, None].expand(-1, pixels.shape[1], -1)
    sources = chosen.gather(1, order)[:, None].expand_as(places)
    return pixels.scatter(2, places, pixels.gather(2, sources)).view_as(inputs)


def divergence_from_uniform(logits: Tensor) -> Tensor:
    """KL(U || p) [N] of logits [N,C]: uniformity's cross-entropy less log C."""
    return logits.logsumexp(1) - logits.mean(1) - math.log(logits.shape[1])
