"""What synthesisers of outliers claim, on test images that no network learned from: python benchmarks/synthesisers.py

Prints, of a model in `--results` (of `configs/digits-full.yaml` by default) with its test images:
- the share of images whose logit an attribution of each strength raises, and what becomes of the images;
- the share of test features in GCOS's shell: calibrated on half of the test images, measured on the other half; and
  calibrated on training features, as in training;
- with `--ncis SECTION`, the shares of validation images inside the class manifolds, and of tokens outside, by quantile
  and shrinkage, with Wilson intervals;
- with `--guided GENERATOR`, the mean log partition and distance of images of the same seeds by the scale of guidance;
- with `--cost`, the time of a fit of the shell by width and number of classes.
"""

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
from scipy.stats import binomtest
from torch import Tensor

from synthood.common.images import read_images
from synthood.common.tensors import read_tensors
from synthood.generators.diffusion import pipelines
from synthood.generators.folder import Description
from synthood.outliers.flow import Flow
from synthood.outliers.guidance_settings import GuidanceSettings
from synthood.outliers.guided import ClassifierGuidance, bank_of, guided_latents, neighbour_distance
from synthood.outliers.inverted_settings import TailSettings
from synthood.outliers.latent_images import images_of
from synthood.outliers.manifold_shares import manifold_figures
from synthood.outliers.tails import Manifolds
from synthood.training.methods.attributed_outliers import attribution, largest
from synthood.training.methods.shell_outliers import Shell, ShellOutliers, conformal, fit_shell, rank
from synthood.training.networks.model import Classifier, logits_and_features

CPU = torch.device("cpu")
STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
QUANTILES, SHRINKAGES = (0.9, 0.95, 0.997), (0.01, 0.1, 0.5)
SCALES = {"energy": (0.0, 0.1, 0.2, 0.4, 1.0, 4.0), "distance": (1.0, 10.0, 30.0)}
SHELLS = ((0.95, 0.99), (0.8, 0.95), (0.5, 0.9))


def share(inside: Tensor) -> str:
    """A share with its exact 95 % interval."""
    count, total = int(inside.sum()), len(inside)
    interval = binomtest(count, total).proportion_ci()
    return f"{100 * count / total:5.1f} % [{100 * interval.low:.1f}, {100 * interval.high:.1f}] of {total}"


def attributions(classifier: Classifier, images: np.ndarray, labels: Tensor, part: float) -> None:
    """What adding attributions does to new images."""
    network = classifier.network.eval()
    inputs = classifier.normalised(torch.from_numpy(images)).contiguous()
    changed = largest(attribution(network, inputs, labels), part)
    own = labels[:, None]
    with torch.no_grad():
        before = network(inputs).gather(1, own)
        for strength in STRENGTHS:
            logits = network(inputs + strength * changed)
            posterior = logits.softmax(1).gather(1, own).mean()
            length = strength * changed.flatten(1).norm(dim=1) / inputs.flatten(1).norm(dim=1)
            raised = share(logits.gather(1, own)[:, 0] > before[:, 0])
            print(f"strength {strength:5g}: raised {raised}, posterior {posterior:.3f}, change {length.mean():.2f}")


def shells(train: Tensor, train_labels: Tensor, test: Tensor, labels: Tensor, covariance: str) -> None:
    """Shares of test features in shells around training features [N,D]; pooled, since classes are small."""
    classes = int(labels.max()) + 1
    fewest = int(torch.bincount(train_labels).min())
    queue = torch.stack([train[train_labels == label][:fewest] for label in range(classes)])
    order = torch.randperm(len(test), generator=torch.Generator().manual_seed(0))
    halves = order[::2], order[1::2]
    for inner, outer in SHELLS:
        settings = ShellOutliers.model_validate(
            {"queue": fewest, "covariance": covariance, "calibration": "pooled", "inner": inner, "outer": outer}
        )
        shell = fit_shell(queue, settings)
        calibration, others = (own_distances(shell, test[half], labels[half]) for half in halves)
        bounds = [conformal(calibration, each) for each in (inner, outer)]
        count = len(calibration)
        expected = (rank(outer, count) - rank(inner, count)) / (count + 1)
        trained = own_distances(shell, test, labels)
        print(
            f"shell {covariance} {inner} to {outer}: expected {100 * expected:.1f} %, other half of test "
            f"{share((others > bounds[0]) & (others <= bounds[1]))}; calibrated on training features "
            f"{share((trained > shell.bounds[0, 0]) & (trained <= shell.bounds[0, 1]))}"
        )


def own_distances(shell: Shell, features: Tensor, labels: Tensor) -> Tensor:
    """Distances [N] of features to their own class."""
    return shell.distances(features.double()).gather(1, labels[:, None])[:, 0]


def manifolds(folder: Path) -> None:
    """Shares inside and outside NCIS's class manifolds, of one network."""
    arrays, _ = read_tensors(folder / "inverted.safetensors")
    flow = Flow.load(folder / "flow.safetensors")
    tokens, labels, new = (torch.from_numpy(arrays[key]) for key in ("embeddings", "labels", "held_out_embeddings"))
    for shrinkage in SHRINKAGES:
        for quantile in QUANTILES:
            settings = TailSettings(quantile=quantile, shrinkage=shrinkage)
            found = Manifolds.of(flow, tokens, labels, settings)
            figures = manifold_figures(found.arrays(settings, new) | arrays)
            shown = ", ".join(f"{key} {interval(value)}" for key, value in figures.items() if isinstance(value, dict))
            print(f"manifolds to the quantile {quantile}, shrinkage {shrinkage}: {shown}")


def interval(found: dict[str, float]) -> str:
    """A share with its interval in percent."""
    return f"{100 * found['share']:.1f} % [{100 * found['low']:.1f}, {100 * found['high']:.1f}] of {found['of']:.0f}"


def guided(classifier: Classifier, images: np.ndarray, folder: Path, attempts: int) -> None:
    """Finished images of a Stable Diffusion under guidance of each scale, from the same seeds."""
    pipeline, description, size = pipelines.load(folder), Description.read(folder), (images.shape[1], images.shape[2])
    classifier.network.eval().requires_grad_(False)
    known, features = logits_and_features(classifier, images, CPU)
    print(f"ID training images: mean log partition {known.logsumexp(1).mean():.3f}")
    for objective, scales in SCALES.items():
        for scale in scales:
            values = {"classifier": "ce", objective: scale, "attempts_per_class": attempts}
            values |= {"sample": {"steps": 10, "guidance": 2.0}}
            settings = GuidanceSettings.model_validate(values)
            bank, begun = bank_of(features, settings.k), time.process_time()
            guidance = ClassifierGuidance(pipeline, classifier, bank, size, settings)
            made, labels, _ = guided_latents(description, guidance, settings)
            seconds = time.process_time() - begun
            logits, found = logits_and_features(classifier, images_of(pipeline, made, *size).numpy(), CPU)
            posterior = logits.softmax(1)[torch.arange(len(labels)), labels].mean()
            print(
                f"{objective} {scale:g}: mean log partition {logits.logsumexp(1).mean():.3f}, distance "
                f"{neighbour_distance(found, bank, settings.k).mean():.3f}, posterior of the class {posterior:.3f}; "
                f"{1000 * seconds / len(labels):.0f} ms an image"
            )


def cost() -> None:
    """Seconds of a fit, the fastest of three."""
    for classes, width in ((6, 64), (10, 512), (100, 512), (10, 2048)):
        for covariance in ("class", "shared"):
            if covariance == "class" and classes * width**3 > 10**11:
                continue  # minutes
            queue = torch.randn((classes, 200, width), generator=torch.Generator().manual_seed(0))
            settings = ShellOutliers.model_validate({"queue": 200, "covariance": covariance})
            seconds = math.inf
            for _ in range(3):
                begun = time.process_time()
                fit_shell(queue, settings)
                seconds = min(seconds, time.process_time() - begun)
            print(f"fit of {classes} classes, {width} features, covariance {covariance}: {1000 * seconds:.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("results/digits"))
    parser.add_argument("--recipes", nargs="+", default=["ce", "standardised"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", type=float, default=0.1, help="of an image's numbers that are changed")
    parser.add_argument("--ncis", help="a section of outliers of kind inverted")
    parser.add_argument("--guided", metavar="GENERATOR", help="a Stable Diffusion of the results")
    parser.add_argument("--attempts", type=int, default=10, help="images of each class and scale")
    parser.add_argument("--cost", action="store_true")
    given = parser.parse_args()
    if given.ncis:
        manifolds(given.results / "outliers" / given.ncis)
        return
    if given.cost:
        cost()
        return
    train, test = (read_images(given.results / f"images/{name}.safetensors") for name in ("train", "test"))
    train_labels, labels = torch.from_numpy(train.labels), torch.from_numpy(test.labels)
    for recipe in given.recipes:
        print(recipe)
        classifier = Classifier.load(given.results / f"models/{recipe}/seed{given.seed}/model.safetensors")
        if given.guided:
            guided(classifier, train.images, given.results / "generators" / given.guided, given.attempts)
            continue
        attributions(classifier, test.images, labels, given.share)
        features = [logits_and_features(classifier, each.images, CPU)[1] for each in (train, test)]
        for covariance in ("class", "shared"):
            shells(features[0], train_labels, features[1], labels, covariance)


if __name__ == "__main__":
    main()
