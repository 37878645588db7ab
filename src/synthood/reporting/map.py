"""Stage `map`: ID images, outliers and OOD sets in the space of the class words, in two dimensions."""

from pathlib import Path
from typing import Annotated

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from torch import Tensor

from synthood.common import stage
from synthood.common.command import Output
from synthood.common.devices import set_threads
from synthood.common.tensors import read_tensors
from synthood.errors import SynthoodError
from synthood.evaluation.feature_files import FeatureFolder
from synthood.reporting.settings import MapSettings, Plane
from synthood.reporting.short_names import short, shortened
from synthood.training.terms.heads import LatentAdapter

matplotlib.use("Agg")
from matplotlib import pyplot as plt

Points = dict[str, np.ndarray]
PERPLEXITY = 30
SHOWN = 300
"""Points of a kind that are drawn; the plane is that of all ID points."""
MARKS = [(form, tone) for tone in ("black", "#ae3ec9", "0.45") for form in "x+^vs"]
"""One of each kind, in both panels."""


def projected(heads: dict[str, Tensor], features: Tensor) -> np.ndarray:
    """Unit vectors [N,E] of features [N,D] in the space of the class words, by the student's own head."""
    result: np.ndarray = F.normalize(
        F.linear(features, heads["boundary.projection.weight"], heads["boundary.projection.bias"])
    ).numpy()
    return result


def adapted(heads: dict[str, Tensor], latents: Tensor) -> Tensor:
    """Latents [N,c,h,w] as the student's features [N,D], by its adapter."""
    prefix = "latent.adapter."
    state = {key.removeprefix(prefix): value for key, value in heads.items() if key.startswith(prefix)}
    adapter = LatentAdapter(latents.shape[1], len(heads["latent.prototypes"][0]))
    adapter.load_state_dict(state)
    with torch.no_grad():
        result: Tensor = adapter(latents)
    return result


def flattened(id_points: np.ndarray, kinds: Points, plane: Plane) -> tuple[np.ndarray, Points, str]:
    """ID points [N,E] and the others in two dimensions, and what these are.

    PCA's plane is that of the ID points alone; t-SNE (van der Maaten & Hinton, 2008) has none, and takes all points
    together.
    """
    if plane == "pca":
        pca = PCA(2, svd_solver="full").fit(id_points)
        share = pca.explained_variance_ratio_.sum()
        told = f"first two principal components of ID test features ({share:.0%} of their variance)"
        return pca.transform(id_points), _transformed(pca, kinds), told
    together = np.concatenate([id_points, *kinds.values()])
    perplexity = min(PERPLEXITY, (len(together) - 1) / 3)
    flat = TSNE(2, init="pca", perplexity=perplexity, random_state=0).fit_transform(together)
    own, *others = np.split(flat, np.cumsum([len(id_points), *map(len, kinds.values())])[:-1])
    told = "t-SNE of all points shown: distances between groups mean nothing"
    return own, dict(zip(kinds, others, strict=True)), told


def _transformed(pca: PCA, kinds: Points) -> Points:
    return {name: pca.transform(points) if len(points) else points[:, :2] for name, points in kinds.items()}


def draw_map(
    path: Path,
    id_points: np.ndarray,
    id_labels: np.ndarray,
    classes: list[str],
    kinds: Points,
    plane: Plane = "pca",
) -> None:
    """ID points [N,E] in two dimensions; one panel with outliers, one with OOD sets."""
    shown = {name: points[:: max(1, -(-len(points) // SHOWN))] for name, points in kinds.items()}
    flat, kinds, told = flattened(id_points, shown, plane)
    outliers = [name for name in kinds if name.startswith("outlier")]
    panels = (outliers, [name for name in kinds if name not in outliers])
    figure, axes = plt.subplots(1, 2, figsize=(10.5, 4.8), dpi=110, sharex=True, sharey=True, layout="constrained")
    for axis, names in zip(axes, panels, strict=True):
        axis.scatter(*flat.T, c=id_labels % 10, cmap="tab10", vmin=0, vmax=9, s=6, alpha=0.5, linewidths=0)
        for label, name in enumerate(shortened(classes)):
            axis.annotate(name, flat[id_labels == label].mean(0), fontsize=8, ha="center", parse_math=False)
        for name in names:
            marker, colour = MARKS[list(kinds).index(name) % len(MARKS)]
            axis.scatter(*kinds[name].T, marker=marker, c=colour, s=14, linewidths=0.8, alpha=0.7, label=short(name))
        axis.legend(fontsize=8, loc="best")
        axis.tick_params(labelsize=7)
    figure.supxlabel(told, fontsize=9)
    figure.savefig(path, format="png", metadata={"Software": None})
    plt.close(figure)


@stage.Stage
def main(
    job: stage.Job,
    settings: MapSettings,
    threads: int,
    heads: Annotated[Path, "what train wrote beside the model"],
    features: Annotated[Path, "folder that extract wrote"],
    boundary: Annotated[Path, "what boundary wrote"],
    latents: Annotated[Path, "what latents wrote"],
    gate: Annotated[Path, "what gate wrote"],
    output: Output,
) -> None:
    set_threads(threads)
    arrays, _ = read_tensors(heads)
    learned = {key: torch.from_numpy(value) for key, value in arrays.items()}
    needed = {"boundary.projection.weight", "latent.prototypes"}
    if not needed <= learned.keys():
        raise SynthoodError(f"{heads}: no heads of both kinds of outliers; the map needs infonce on both")
    found, _ = read_tensors(boundary, "embeddings")
    sampled, latent_header = read_tensors(latents, "latents")
    (kept,) = read_tensors(gate, "kept")[0].values()
    folder = FeatureFolder(features)
    test = folder.part("test")
    kinds = {
        "outlier embeddings": found["embeddings"],
        "outlier latents": projected(learned, adapted(learned, torch.from_numpy(sampled["latents"][kept]).float())),
    }
    kinds |= {part: projected(learned, folder.part(part).features) for part in [*settings.near, *settings.far]}
    with job.writing(output) as path:
        draw_map(
            path,
            projected(learned, test.features),
            test.labels.numpy(),
            latent_header["classes"],
            kinds,
            settings.plane,
        )


if __name__ == "__main__":
    main()
