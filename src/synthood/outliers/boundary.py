"""Stage `boundary`: outlier embeddings, noise around the outermost ID embeddings, the farthest of each point kept."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from synthood.common import stage
from synthood.common.command import Output
from synthood.common.devices import set_threads
from synthood.common.neighbours import chosen, kth_distance
from synthood.common.seeds import generator
from synthood.common.tensors import read_tensors, write_tensors
from synthood.errors import SynthoodError
from synthood.outliers.boundary_settings import BoundarySettings

SUMS_AT_ONCE = 1 << 20
"""Sums of products held at once: as many as a core's cache takes."""
UNIT_WITHIN, EQUAL_WITHIN = 1e-3, 1e-6


@dataclass(frozen=True)
class BoundaryOutliers:
    """Outliers of all classes, class by class.

    embeddings float32 [N,D] (unit), labels int64 [N], parents int64 [N] (index of the boundary point among the ID
    embeddings), distances float32 [N] to the k-th neighbour in the class, the percentile [N] of that distance among
    the candidates of the same point, and among the class's ID embeddings; both in [0,1].
    """

    embeddings: Tensor
    labels: Tensor
    parents: Tensor
    distances: Tensor
    among_candidates: Tensor
    among_id: Tensor


def candidate_distances(centres: Tensor, noise: Tensor, bank: Tensor, deviation: float, k: int) -> Tensor:
    """Distances [P,M] to the k-th nearest in the bank [N,D] of v = unit(z + s e), without making any v.

    Centres z [P,D] and the bank are unit, e is noise [M,D] for all centres or [P,M,D]. As ||v - z'||^2 = 2 - 2 (z.z' +
    s e.z') / ||z + s e||, one product of noise and bank serves all centres, and the k-th nearest is where the sum in
    brackets is k-th largest.
    """
    own, place = (centres @ bank.T).numpy(), len(bank) - k
    squares = centres.square().sum(1)[:, None]
    found = torch.empty(len(centres), noise.shape[-2])
    rows = max(1, SUMS_AT_ONCE // len(bank))
    for first in range(0, noise.shape[-2], rows):
        moves = deviation * noise[..., first : first + rows, :]
        along = (moves @ centres[:, :, None]).squeeze(2)
        lengths = (squares + 2 * along + moves.square().sum(-1)).sqrt()
        products = (moves @ bank.T).numpy()
        for index in range(len(centres)):
            sums = own[index] + (products if noise.ndim == 2 else products[index])
            sums.partition(place, axis=1)
            cosines = torch.from_numpy(sums[:, place]) / lengths[index]
            found[index, first : first + rows] = (2 - 2 * cosines).clamp(min=0).sqrt()
    return found


def boundary_outliers(embeddings: Tensor, labels: Tensor, settings: BoundarySettings) -> BoundaryOutliers:
    """Outliers around the ID embeddings float32 [N,D] (unit) with labels int64 [N].

    Raises SynthoodError where embeddings are not finite or not unit, or where a class is too small for k or the
    boundary points, or all its embeddings are equal.
    """
    if not embeddings.isfinite().all():
        bad = int((~embeddings.isfinite().all(1)).nonzero()[0])
        raise SynthoodError(f"embedding {bad} is not finite; the encoder that made it is broken")
    lengths = embeddings.norm(dim=1)
    if ((lengths - 1).abs() > UNIT_WITHIN).any():
        bad = int(((lengths - 1).abs() > UNIT_WITHIN).nonzero()[0])
        raise SynthoodError(f"embedding {bad} has length {float(lengths[bad]):.3g}, but embeddings must have length 1")
    parts = [of_class(embeddings, labels, int(label), settings) for label in labels.unique()]
    names = BoundaryOutliers.__dataclass_fields__
    return BoundaryOutliers(*(torch.cat([getattr(part, name) for part in parts]) for name in names))


def of_class(embeddings: Tensor, labels: Tensor, label: int, settings: BoundarySettings) -> BoundaryOutliers:
    """Outliers of one class, round by round."""
    members = (labels == label).nonzero().squeeze(1)
    if settings.per_class is not None:
        order = torch.randperm(len(members), generator=generator(settings.seed, "embeddings", label))
        members = members[order[: settings.per_class].sort().values]
    points = embeddings[members]
    if settings.k >= len(points) or settings.boundary_points > len(points):
        raise SynthoodError(
            f"class {label} has {len(points)} embeddings; boundary.k ({settings.k}) must be below and "
            f"boundary.boundary_points ({settings.boundary_points}) not above that"
        )
    if float((points - points[0]).abs().max()) < EQUAL_WITHIN:
        raise SynthoodError(
            f"all {len(points)} embeddings of class {label} are equal; its images are one image, or the encoder is "
            f"broken"
        )
    own = kth_distance(points, points, settings.k + 1)
    outermost = own.topk(settings.boundary_points).indices
    random = generator(settings.seed, "boundary", label)
    rounds = [of_round(points, outermost, settings, random) for _ in range(settings.rounds)]
    made, parents, among_candidates = (torch.cat(parts) for parts in zip(*rounds, strict=True))
    distances = kth_distance(made, points, settings.k)
    among_id = (own[None] < distances[:, None]).float().mean(1)
    return BoundaryOutliers(
        made, torch.full((len(made),), label), members[parents], distances, among_candidates, among_id
    )


def of_round(
    points: Tensor, outermost: Tensor, settings: BoundarySettings, random: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Outliers [P * kept,D], the boundary points [P * kept] they lie around, percentiles among their candidates."""
    if settings.points_per_round is not None:
        outermost = outermost[torch.randperm(len(outermost), generator=random)[: settings.points_per_round]]
    shape = (settings.candidates, points.shape[1])
    noise = torch.randn(shape if settings.shared_noise else (len(outermost), *shape), generator=random)
    centres = points[outermost]
    distances = candidate_distances(centres, noise, points, settings.noise, settings.k)
    kept = chosen(distances, settings.keep_per_point, settings.selection, random)
    own_noise = noise if settings.shared_noise else noise.flatten(0, 1)
    first = 0 if settings.shared_noise else settings.candidates * torch.arange(len(outermost))[:, None]
    made = F.normalize(centres[:, None] + settings.noise * own_noise[kept + first], dim=2)
    among = (distances[:, None, :] < distances.gather(1, kept)[:, :, None]).float().mean(2)
    return made.flatten(0, 1), outermost.repeat_interleave(settings.keep_per_point), among.flatten()


@stage.Stage
def main(
    job: stage.Job,
    settings: BoundarySettings,
    threads: int,
    embeddings: Annotated[Path, "what embed wrote"],
    output: Output,
) -> None:
    set_threads(threads)
    arrays, header = read_tensors(embeddings, "embeddings", "labels")
    vectors, labels = (torch.from_numpy(arrays[name]) for name in ("embeddings", "labels"))
    found = boundary_outliers(vectors, labels, settings)
    with job.writing(output) as path:
        write_tensors(path, {name: value.numpy() for name, value in vars(found).items()}, header)
    print(
        f"{len(found.labels)} outlier embeddings; percentile of the k-th distance among their own candidates "
        f"{float(found.among_candidates.mean()):.3f}, among the class's ID embeddings "
        f"{float(found.among_id.mean()):.3f} ({float((found.among_id < 1).float().mean()):.1%} below 1)"
    )


if __name__ == "__main__":
    main()
