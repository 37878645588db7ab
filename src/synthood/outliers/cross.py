"""Stage `crossing`: outlier embeddings, ID embeddings that are nearest to the decision boundary pushed across it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from torch import Tensor

from synthood.common import stage
from synthood.common.command import Output
from synthood.common.devices import set_threads
from synthood.common.neighbours import kth_distance
from synthood.common.tensors import read_tensors, write_tensors
from synthood.errors import SynthoodError
from synthood.outliers.crossing import CrossingSettings, crossed
from synthood.outliers.probe import probed

UNIT_WITHIN, EQUAL_WITHIN = 1e-3, 1e-6


@dataclass(frozen=True)
class CrossedEmbeddings:
    """Outliers of all classes, class by class.

    embeddings float32 [N,D] (unit), labels int64 [N], parents int64 [N] among the ID embeddings, steps int64 [N] to the
    change of class, distances float32 [N] to the k-th neighbour in the class, and the percentile [N] of that distance
    among the class's ID embeddings, in [0,1].
    """

    embeddings: Tensor
    labels: Tensor
    parents: Tensor
    steps: Tensor
    distances: Tensor
    among_id: Tensor


def crossed_embeddings(
    embeddings: Tensor, labels: Tensor, words: Tensor, classes: list[str], settings: CrossingSettings
) -> CrossedEmbeddings:
    """Outliers of ID embeddings float32 [N,D] (unit) with labels int64 [N], and vectors float32 [C,D] of the words.

    Raises SynthoodError for what cannot be pushed, and where no embedding of a class crosses.
    """
    check(embeddings, labels, words, classes)
    parts = [of_class(embeddings, labels, words, label, name, settings) for label, name in enumerate(classes)]
    names = CrossedEmbeddings.__dataclass_fields__
    return CrossedEmbeddings(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})


def of_class(
    embeddings: Tensor, labels: Tensor, words: Tensor, label: int, name: str, settings: CrossingSettings
) -> CrossedEmbeddings:
    """Outliers of one class, those that crossed first at the front."""
    members = (labels == label).nonzero().flatten()
    points = embeddings[members]
    if settings.k >= len(points) or settings.boundary_points > len(points):
        raise SynthoodError(
            f"class {name!r} has {len(points)} embeddings; crossing.k ({settings.k}) must be below and "
            f"crossing.boundary_points ({settings.boundary_points}) not above that"
        )
    if float((points - points[0]).abs().max()) < EQUAL_WITHIN:
        raise SynthoodError(
            f"all {len(points)} embeddings of class {name!r} are equal; its images are one image, or the encoder is "
            f"broken, so look at them or raise encoder.epochs"
        )
    found = crossed(points, words, label, settings.boundary_points, settings)
    if len(found.parents) == 0:
        raise SynthoodError(
            f"no embedding of class {name!r} changes class within crossing.steps {settings.steps}; raise it or "
            f"crossing.step_size ({settings.step_size:g})"
        )
    own = kth_distance(points, points, settings.k + 1)
    distances = kth_distance(found.made, points, settings.k)
    among_id = (own[None] < distances[:, None]).float().mean(1)
    given = torch.full_like(found.parents, label)
    return CrossedEmbeddings(found.made, given, members[found.parents], found.steps, distances, among_id)


def check(embeddings: Tensor, labels: Tensor, words: Tensor, classes: list[str]) -> None:
    """Raises SynthoodError unless embeddings and words are finite, as wide and of the same classes, two or more."""
    if len(words) != len(classes):
        missing = f"; {classes[len(words)]!r} has none" if len(words) < len(classes) else ""
        raise SynthoodError(
            f"there are {len(words)} class words for {len(classes)} classes{missing}; run embed again with this "
            f"dataset's generator"
        )
    if words.shape[1] != embeddings.shape[1]:
        raise SynthoodError(
            f"the class words' vectors are {words.shape[1]} wide, the embeddings {embeddings.shape[1]}; run embed again"
        )
    if len(classes) < 2:
        raise SynthoodError(f"{classes[0]!r} is the only class, so there is no boundary to cross; take kind pixel")
    norms = words.norm(dim=1)
    for bad in (~(norms.isfinite() & (norms > 0))).nonzero().flatten().tolist():
        what = "zero" if norms[bad] == 0 else "not finite"
        raise SynthoodError(f"the vector of the word of class {classes[bad]!r} is {what}; fit the generator again")
    lengths = embeddings.norm(dim=1)
    for bad in (~((lengths - 1).abs() <= UNIT_WITHIN)).nonzero().flatten().tolist():
        what = f"has length {float(lengths[bad]):.3g}, not 1" if lengths[bad].isfinite() else "is not finite"
        raise SynthoodError(
            f"embedding {bad}, of class {classes[int(labels[bad])]!r}, {what}; the encoder that made it is broken, so "
            f"run fit_encoder and embed again"
        )


@stage.Stage
def main(
    job: stage.Job,
    settings: CrossingSettings,
    threads: int,
    embeddings: Annotated[Path, "what embed wrote"],
    output: Output,
) -> None:
    set_threads(threads)
    arrays, header = read_tensors(embeddings, "embeddings", "labels", "anchors")
    vectors, labels, words = (torch.from_numpy(arrays[name]) for name in ("embeddings", "labels", "anchors"))
    classes = header["classes"]
    found = crossed_embeddings(vectors, labels, words, classes, settings)
    own, probe = probed(vectors, labels, found.embeddings, found.parents, len(classes))
    made = {**vars(found), "probe": probe, "probe_of_id": own, "id_labels": labels}
    with job.writing(output) as path:
        write_tensors(path, {name: value.numpy() for name, value in made.items()}, header)
    few = [
        f"{int((found.labels == label).sum())} of {name!r}"
        for label, name in enumerate(classes)
        if (found.labels == label).sum() < settings.boundary_points
    ]
    print(
        f"{len(found.labels)} outlier embeddings{', only ' + ', '.join(few) if few else ''}; steps to the change of "
        f"class {float(found.steps.float().mean()):.1f}, at most {int(found.steps.max())}; a second classifier sees "
        f"another class in {float((probe != found.labels).float().mean()):.1%}, of ID embeddings in "
        f"{float((own != labels).float().mean()):.1%}"
    )


if __name__ == "__main__":
    main()
