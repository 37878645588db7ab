"""Stage `gate`: which latents are outliers, by a classifier's posterior and its k-nearest-neighbour distance."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from synthood.common import stage
from synthood.common.command import Output
from synthood.common.devices import device_for, set_threads
from synthood.common.images import open_images
from synthood.common.neighbours import kth_distance
from synthood.common.tensors import read_tensors, write_tensors
from synthood.errors import SynthoodError
from synthood.generators.diffusion import pipelines
from synthood.generators.folder import Description
from synthood.outliers.gate_settings import GateSettings
from synthood.outliers.latent_images import images_of
from synthood.training.networks.model import Classifier, logits_and_features

SHRINKAGE = 0.01


@dataclass(frozen=True)
class Verdict:
    """What the gate found of N latents.

    posterior float32 [N] of the intended class and confidence float32 [N] of the likeliest, prediction int64 [N],
    distance float32 [N] to the ID training features, accepted bool [N], `kept` int64 [K]: the first accepted ones of
    each class, and the distance float32 [V] of ID validation images.
    """

    posterior: Tensor
    confidence: Tensor
    prediction: Tensor
    distance: Tensor
    accepted: Tensor
    kept: Tensor
    id_distance: Tensor


def gate(
    logits: Tensor,
    features: Tensor,
    labels: Tensor,
    train: Tensor,
    train_labels: Tensor,
    validation: Tensor,
    settings: GateSettings,
) -> Verdict:
    """Accepts what is neither its intended class, nor surely another, nor near any ID image.

    logits [N,C] and features [N,D] of decoded outliers with intended labels [N]; features of ID training
    images with their labels, and of validation images.
    """
    if settings.distance == "density":
        distance, usual = (mahalanobis(queries, train, train_labels) for queries in (features, validation))
    else:
        if settings.k > len(train):
            raise SynthoodError(f"gate.k is {settings.k}, but there are only {len(train)} training images")
        bank = F.normalize(train)
        distance, usual = (kth_distance(F.normalize(queries), bank, settings.k) for queries in (features, validation))
    posteriors = logits.softmax(1)
    posterior, confidence = posteriors[torch.arange(len(labels)), labels], posteriors.amax(1)
    far = distance > torch.quantile(usual, settings.percentile / 100)
    accepted = far & (posterior < settings.max_posterior) & (confidence <= settings.max_confidence)
    if settings.accept == "all":
        accepted = torch.ones_like(accepted)
    kept = [(accepted & (labels == label)).nonzero().flatten()[: settings.keep_per_class] for label in labels.unique()]
    return Verdict(posterior, confidence, logits.argmax(1), distance, accepted, torch.cat(kept), usual)


def mahalanobis(queries: Tensor, train: Tensor, labels: Tensor) -> Tensor:
    """Distance float32 [Q] of features [Q,D] to the nearest class mean, by one covariance of the training features.

    The covariance is shrunk by 1 % towards its mean variance, so that it has an inverse.
    """
    classes = labels.unique()
    means = torch.stack([train[labels == label].double().mean(0) for label in classes])
    centred = train.double() - means[torch.searchsorted(classes, labels)]
    covariance = centred.T @ centred / len(train)
    variance = covariance.diagonal().mean().clamp(min=1e-12)
    shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * variance * torch.eye(len(covariance), dtype=torch.float64)
    factor = torch.linalg.cholesky(shrunk)
    white, whitened_means = (
        torch.linalg.solve_triangular(factor, x.T, upper=False).T for x in (queries.double(), means)
    )
    return torch.cdist(white, whitened_means).amin(1).float()


def shares(verdict: Verdict, labels: Tensor, classes: list[str]) -> dict[str, float]:
    """Accepted share of each class; raises SynthoodError, with all shares, where one is zero."""
    found = {name: round(float(verdict.accepted[labels == i].float().mean()), 4) for i, name in enumerate(classes)}
    empty = [name for name, share in found.items() if share == 0]
    if empty:
        told = ", ".join(f"{name} {share:.1%}" for name, share in found.items())
        raise SynthoodError(
            f"the gate accepts no outlier of class {empty[0]} (accepted: {told}); raise latents.scale, "
            f"or the scales of guidance, or attempts_per_class, raise gate.max_confidence, or lower gate.percentile"
        )
    return found


@stage.Stage
def main(
    job: stage.Job,
    settings: GateSettings,
    threads: int,
    generator: Annotated[Path, "folder of a Stable Diffusion"],
    latents: Annotated[Path, "what latents wrote"],
    classifier: Annotated[Path, "model that learned from real images alone"],
    train: Annotated[Path, "ID training images"],
    val: Annotated[Path, "ID validation images"],
    output: Output,
    gpus: Annotated[int, "0: compute on the CPU"] = 0,
) -> None:
    set_threads(threads)
    description = Description.read(generator)
    arrays, _ = read_tensors(latents, "latents", "labels")
    drawn, labels = (torch.from_numpy(arrays[name]) for name in ("latents", "labels"))
    judge = Classifier.load(classifier)
    train_images, train_labels = open_images(train)
    with device_for(gpus) as device:
        height, width = train_images.shape[1:3]
        pipeline = pipelines.load(generator).to(device)
        classes = [description.classes[label] for label in labels.tolist()]
        images = images_of(
            pipeline,
            drawn.float(),
            height,
            width,
            lambda index: f"{latents}: outlier {index} of class {classes[index]!r}",
        )
        judge.network.to(device)
        logits, features = logits_and_features(judge, images.numpy(), device)
        _, known = logits_and_features(judge, train_images, device)
        _, validation = logits_and_features(judge, open_images(val)[0], device)
    verdict = gate(logits, features, labels, known, torch.from_numpy(train_labels), validation, settings)
    accepted = shares(verdict, labels, description.classes)
    with job.writing(output) as path:
        made = {name: value.numpy() for name, value in vars(verdict).items()}
        header = {"classes": description.classes, "accepted": accepted}
        write_tensors(path, made | {"labels": labels.numpy(), "images": images.numpy()}, header)
    elsewhere = float(((verdict.prediction != labels) & ~verdict.accepted).float().mean())
    print(f"accepted {accepted}; {elsewhere:.1%} of all rejected as another ID class")


if __name__ == "__main__":
    main()
