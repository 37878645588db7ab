"""Stage `boundary`: outlier embeddings, noise around the outermost ID embeddings, the farthest of each point kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from synthood.common import stage
from synthood.common.devices import set_threads
from synthood.common.seeds import generator
from synthood.common.tensors import read_tensors, write_tensors
from synthood.errors import SynthoodError
from synthood.outliers.settings import BoundarySettings

WORKING_SET = 1 << 24
"""Distances held at once, in numbers."""


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


def kth_distance(queries: Tensor, bank: Tensor, k: int) -> Tensor:
    """Exact Euclidean distance [Q] of queries [Q,D] to their k-th nearest in the bank [N,D], in chunks."""
    chunk = max(1, WORKING_SET // len(bank))
    parts = [torch.cdist(part, bank).topk(k, largest=False).values[:, -1] for part in queries.split(chunk)]
    return torch.cat(parts)


def boundary_outliers(embeddings: Tensor, labels: Tensor, settings: BoundarySettings) -> BoundaryOutliers:
    """Outliers around the ID embeddings float32 [N,D] (unit) with labels int64 [N].

    Raises SynthoodError where embeddings are not finite, or a class is too small for k or the boundary points.
    """
    if not embeddings.isfinite().all():
        bad = int((~embeddings.isfinite().all(1)).nonzero()[0])
        raise SynthoodError(f"embedding {bad} is not finite; the encoder that made it is broken")
    parts = [of_class(embeddings, labels, int(label), settings) for label in labels.unique()]
    names = BoundaryOutliers.__dataclass_fields__
    return BoundaryOutliers(*(torch.cat([getattr(part, name) for part in parts]) for name in names))


def of_class(embeddings: Tensor, labels: Tensor, label: int, settings: BoundarySettings) -> BoundaryOutliers:
    """Outliers of one class."""
    members = (labels == label).nonzero().squeeze(1)
    points = embeddings[members]
    if settings.k >= len(points) or settings.boundary_points > len(points):
        raise SynthoodError(
            f"class {label} has {len(points)} embeddings; boundary.k ({settings.k}) must be below and "
            f"boundary.boundary_points ({settings.boundary_points}) not above that"
        )
    own = kth_distance(points, points, settings.k + 1)
    outermost = own.topk(settings.boundary_points).indices
    random = generator(settings.seed, "boundary", label)
    shape = (settings.boundary_points, settings.candidates, points.shape[1])
    noise = torch.randn(shape, generator=random)
    candidates = F.normalize(points[outermost][:, None] + settings.noise * noise, dim=2)
    distances = kth_distance(candidates.flatten(0, 1), points, settings.k).view(shape[:2])
    kept = chosen(distances, settings, random)
    taken = distances.gather(1, kept)
    among_candidates = (distances[:, None, :] < taken[:, :, None]).float().mean(2)
    return BoundaryOutliers(
        candidates.gather(1, kept[:, :, None].expand(-1, -1, shape[2])).flatten(0, 1),
        torch.full((kept.numel(),), label),
        members[outermost].repeat_interleave(settings.kept),
        taken.flatten(),
        among_candidates.flatten(),
        (own[None] < taken.flatten()[:, None]).float().mean(1),
    )


def chosen(distances: Tensor, settings: BoundarySettings, random: torch.Generator) -> Tensor:
    """Which candidates of each point are kept, int64 [P,kept], from their distances [P,M]."""
    points, candidates = distances.shape
    if settings.selection == "random":
        return torch.rand(distances.shape, generator=random).topk(settings.kept, dim=1).indices
    if settings.selection == "released":
        # The papers' code lays the distances out as [M,P] before choosing, so it compares candidates of all points.
        return distances.reshape(candidates, points).topk(settings.kept, dim=0).indices.T.contiguous()
    return distances.topk(settings.kept, dim=1).indices


def main(command_line: Sequence[str] | None = None) -> None:
    def work(job: stage.Job) -> None:
        set_threads(job.arguments.threads)
        arrays, header = read_tensors(job.arguments.embeddings, "embeddings", "labels")
        embeddings, labels = (torch.from_numpy(arrays[name]) for name in ("embeddings", "labels"))
        found = boundary_outliers(embeddings, labels, BoundarySettings.parse(job.arguments.settings))
        with job.writing(job.arguments.output[0]) as path:
            write_tensors(path, {name: value.numpy() for name, value in vars(found).items()}, header)
        print(
            f"{len(found.labels)} outlier embeddings; percentile of the k-th distance among their own candidates "
            f"{float(found.among_candidates.mean()):.3f}, among the class's ID embeddings "
            f"{float(found.among_id.mean()):.3f} ({float((found.among_id < 1).float().mean()):.1%} below 1)"
        )

    parser = stage.parser(__doc__)
    parser.add_argument("--embeddings", type=Path, required=True, help="what embed wrote")
    stage.run(parser, work, command_line)


if __name__ == "__main__":
    main()
