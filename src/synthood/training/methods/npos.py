"""NPOS: outliers drawn around the outermost points of each class on the sphere."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from synthood.common.lazy import F, Tensor, nn, torch
from synthood.common.neighbours import Selection, chosen, kth_distance
from synthood.common.settings import BEFORE_THE_END, Count, Fraction, Positive
from synthood.training.methods.base import Weight
from synthood.training.methods.supervised_contrast import Prototypes, SupervisedContrast
from synthood.training.methods.term import Batch, Context, Term
from synthood.training.methods.virtual_outliers import check_queue, enqueue


class Npos(Prototypes):
    """CIDER's losses, and outliers drawn around the outermost points of each class."""

    paper = "NPOS, arXiv 2303.02966"

    kind: Literal["npos"] = "npos"
    outlier_weight: Weight = 0.1
    start: Annotated[Fraction, BEFORE_THE_END, Field(description="share of the steps without outliers")] = 0.4
    queue: Annotated[int, Field(ge=2, description="points kept of each class")] = 1000
    k: Annotated[Count, Field(description="neighbours; distances are to the k-th of the class")] = 300
    boundary_points: Annotated[Count, Field(description="of each class, those with the farthest k-th neighbour")] = 200
    points_per_step: Annotated[Count, Field(description="boundary points of a step and class")] = 2
    candidates: Annotated[int, Field(ge=2, description="drawn around each picked point")] = 600
    keep_per_point: Annotated[Count, Field(description="candidates of each picked point, the farthest")] = 200
    noise: Annotated[Positive, Field(description="standard deviation of a candidate's coordinates")] = 0.1
    implementation: Annotated[
        Literal["correct", "released"],
        Field(description="released: the shuffled choice of the papers' code, off the sphere"),
    ] = "correct"

    @model_validator(mode="after")
    def _enough_of_each(self) -> Self:
        for less, more, why in (
            ("k", "queue", "a point has so many neighbours at most, itself left out"),
            ("boundary_points", "queue", "they are taken from it"),
            ("points_per_step", "boundary_points", "they are picked from them"),
            ("keep_per_point", "candidates", "they are kept of them"),
        ):
            one, other = getattr(self, less), getattr(self, more)
            if one > other or (less == "k" and one == other):
                raise ValueError(f"{less} {one} against {more} {other}: {why}; lower {less} or raise {more}")
        return self

    def check_classes(self, counts: dict[str, int], recipe: Any) -> None:
        check_queue(self, self.queue, counts, recipe)

    def terms(self, context: Context) -> dict[str, Term]:
        return {"contrastive": BoundarySynthesis(self, context.features, context.classes)}


class BoundarySynthesis(SupervisedContrast):
    """NPOS (arXiv 2303.02966): CIDER's losses on the sphere, and a logistic loss of points against outliers there.

    Points of each class wait in a queue; once all queues are full and `start` of the steps are done, outliers are drawn
    around the outermost. The logistic layer's loss reaches the network through the batch's own points. The layer plays
    no part in inference.
    """

    training_only_buffers = ("queue", "seen")

    def __init__(self, settings: Npos, features: int, classes: int) -> None:
        super().__init__(settings, features, classes)
        self.npos, width = settings, settings.dimensions
        self.logistic = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))
        self.register_buffer("queue", torch.zeros(classes, settings.queue, width))
        self.register_buffer("seen", torch.zeros(classes, dtype=torch.long))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        settings, points = self.npos, self.points(batch.features)
        queue, seen = self.get_buffer("queue"), self.get_buffer("seen")
        enqueue(queue, seen, points.detach(), batch.labels)
        losses = self.losses(points, batch.labels)
        if batch.progress < settings.start or int(seen.min()) < settings.queue:
            return losses | {"npos": 0 * points.sum()}
        outliers = around(queue, settings, batch.random)
        loss = separation(
            self.logistic(points)[:, 0], self.logistic(outliers)[:, 0], settings.implementation == "released"
        )
        return losses | {"npos": settings.outlier_weight * loss}


def around(queue: Tensor, settings: Npos, random: torch.Generator) -> Tensor:
    """Outliers float32 [C * picked * kept, E] around points of the queues [C,Q,E] (arXiv 2303.02966, section 3.1).

    Boundary points have the farthest k-th neighbour in their class; Gaussian candidates are brought back to the sphere,
    and those of each boundary point with the farthest k-th neighbour are kept. As released, all points have the same
    noise, the choice is shuffled, and outliers stay off the sphere, where their length alone gives them away.
    """
    classes, _, width = queue.shape
    released = settings.implementation == "released"
    selection: Selection = "released" if released else "knn"
    shape = (settings.points_per_step, settings.candidates, width)
    noise = torch.randn((1, 1, *shape[1:]) if released else (classes, *shape), generator=random)
    noise = noise.to(queue.device).expand(classes, *shape)
    outliers = []
    for points, its_noise in zip(queue, noise, strict=True):
        outermost = kth_distance(points, points, settings.k + 1).topk(settings.boundary_points).indices
        picked = outermost[torch.randperm(settings.boundary_points, generator=random)[: settings.points_per_step]]
        candidates = points[picked][:, None] + settings.noise * its_noise
        unit = F.normalize(candidates, dim=2)
        distances = kth_distance(unit.flatten(0, 1), points, settings.k).view(shape[:2])
        kept = chosen(distances, settings.keep_per_point, selection, random)
        taken = candidates if released else unit
        outliers.append(taken.gather(1, kept[:, :, None].expand(-1, -1, width)).flatten(0, 1))
    return torch.cat(outliers)


def separation(known: Tensor, outliers: Tensor, pooled: bool = False) -> Tensor:
    """Logistic loss of scores [N] of ID points against [M] of outliers (arXiv 2303.02966, eq. 6).

    The means of both kinds are added; pooled, as released, it is one mean over all.
    """
    own, theirs = F.softplus(-known), F.softplus(outliers)
    return torch.cat([own, theirs]).mean() if pooled else own.mean() + theirs.mean()
