"""BOOD: ID embeddings that are nearest to the decision boundary, pushed across it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from synthood.common.lazy import F, Tensor, torch
from synthood.common.settings import Count, Positive, Settings


class CrossingSettings(Settings):
    """ID embeddings that change class in the fewest steps up their own class's cross-entropy, pushed on from there."""

    k: Annotated[int, Field(ge=1, description="neighbours; distances are reported to the k-th of the class")] = 10
    boundary_points: Annotated[int, Field(ge=1, description="of each class, those that cross first")]
    step_size: Annotated[Positive, Field(description="change of each coordinate in a step")] = 0.01
    steps: Annotated[Count, Field(description="the most until an embedding changes class")] = 100
    extra_steps: Annotated[int, Field(ge=0, description="after the change of class")] = 2
    temperature: Annotated[Positive, Field(description="of the cosines to the class words, as the encoder's")] = 0.1


@dataclass(frozen=True)
class Crossed:
    """Outliers of one class, those of the fewest steps first, then in the order of the embeddings.

    made float32 [K,D] (unit), parents int64 [K] among the class's embeddings, steps int64 [K] to the change of class.
    """

    made: Tensor
    parents: Tensor
    steps: Tensor


def ascent(points: Tensor, words: Tensor, label: int, temperature: float) -> Tensor:
    """The gradient of cross-entropy [P,D] at points [P,D], up to a positive factor of each; words [C,D] are unit.

    With cosines c_j and q the softmax over all classes but y: sum_j q_j d(c_j - c_y)/dv. The factor that is left out,
    (1 - p_y) / T, rounds to zero where the class is sure, and only signs are used.
    """
    own, others = words[label], _without(words, label)
    lengths = points.norm(dim=1, keepdim=True)
    unit = points / lengths
    cosines = unit @ others.T
    mix = (cosines / temperature).softmax(1)
    gaps = (mix * cosines).sum(1, keepdim=True) - (unit @ own)[:, None]
    return (mix @ others - own - gaps * unit) / lengths


def across(points: Tensor, words: Tensor, label: int) -> Tensor:
    """Whether points [P,D] are nearer, by the cosine, to another word than their own: bool [P]."""
    return (points @ _without(words, label).T).amax(1) > points @ words[label]


def crossed(points: Tensor, words: Tensor, label: int, wanted: int, settings: CrossingSettings) -> Crossed:
    """The `wanted` embeddings [N,D] of a class that cross first, or as many as do, pushed on by the extra steps.

    v <- v + step_size sign(grad), in float64, without projection between steps; a step that would lead back into the
    class is not taken. An embedding that is across from the start takes no steps to get there.
    """
    moved, words = points.double().clone(), F.normalize(words.double())  # what is given stays as it is
    needed = torch.full((len(points),), -1)
    waiting = torch.arange(len(points))
    for step in range(settings.steps + 1):
        over = across(moved[waiting], words, label)
        needed[waiting[over]] = step
        waiting = waiting[~over]
        if step == settings.steps or len(points) - len(waiting) >= min(wanted, len(points)):
            break
        moved[waiting] += settings.step_size * ascent(moved[waiting], words, label, settings.temperature).sign()
    found = (needed >= 0).nonzero().flatten()
    parents = found[needed[found].argsort(stable=True)][:wanted]
    made = moved[parents]
    for _ in range(settings.extra_steps):
        pushed = made + settings.step_size * ascent(made, words, label, settings.temperature).sign()
        made = torch.where(across(pushed, words, label)[:, None], pushed, made)
    return Crossed(F.normalize(made).float(), parents, needed[parents])


def _without(words: Tensor, label: int) -> Tensor:
    """The words [C-1,D] of all other classes."""
    return torch.cat([words[:label], words[label + 1 :]])
