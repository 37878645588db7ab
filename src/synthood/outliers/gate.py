"""Stage `gate`: which latents are outliers, by a classifier's posterior and its k-nearest-neighbour distance."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from synthood.common import stage
from synthood.common.devices import set_threads
from synthood.common.images import read_images
from synthood.common.tensors import read_tensors, write_tensors
from synthood.errors import SynthoodError
from synthood.generators import diffusion_sampling, stable_diffusion
from synthood.generators.folder import Description
from synthood.outliers.boundary import kth_distance
from synthood.outliers.settings import GateSettings
from synthood.training.model import Classifier, logits_and_features


@dataclass(frozen=True)
class Verdict:
    """What the gate found of N latents.

    posterior float32 [N] of the intended class and confidence float32 [N] of the likeliest, prediction int64 [N],
    distance float32 [N] to the k-th nearest ID training feature, accepted bool [N], and `kept` int64 [K]: the first
    accepted ones of each class.
    """

    posterior: Tensor
    confidence: Tensor
    prediction: Tensor
    distance: Tensor
    accepted: Tensor
    kept: Tensor


def gate(
    logits: Tensor, features: Tensor, labels: Tensor, train: Tensor, validation: Tensor, settings: GateSettings
) -> Verdict:
    """Accepts what is neither its intended class, nor surely another, nor near any ID image.

    logits [N,C] and features [N,D] of decoded outliers with intended labels [N]; features of ID training and
    validation images.
    """
    bank = F.normalize(train)
    distance = kth_distance(F.normalize(features), bank, settings.k)
    usual = kth_distance(F.normalize(validation), bank, settings.k)
    posteriors = logits.softmax(1)
    posterior, confidence = posteriors[torch.arange(len(labels)), labels], posteriors.amax(1)
    far = distance > torch.quantile(usual, settings.percentile / 100)
    accepted = far & (posterior < settings.posterior_below) & (confidence <= settings.confidence_below)
    if settings.accept == "all":
        accepted = torch.ones_like(accepted)
    kept = [
        (accepted & (labels == label)).nonzero().flatten()[: settings.wanted_per_class] for label in labels.unique()
    ]
    return Verdict(posterior, confidence, logits.argmax(1), distance, accepted, torch.cat(kept))


def shares(verdict: Verdict, labels: Tensor, classes: list[str]) -> dict[str, float]:
    """Accepted share of each class; raises SynthoodError, with all shares, where one is zero."""
    found = {name: round(float(verdict.accepted[labels == i].float().mean()), 4) for i, name in enumerate(classes)}
    empty = [name for name, share in found.items() if share == 0]
    if empty:
        told = ", ".join(f"{name} {share:.1%}" for name, share in found.items())
        raise SynthoodError(
            f"the gate accepts no outlier of class {empty[0]} (accepted: {told}); raise latents.scale or "
            f"latents.attempts_per_class, raise gate.confidence_below, or lower gate.percentile"
        )
    return found


def main(command_line: Sequence[str] | None = None) -> None:
    def work(job: stage.Job) -> None:
        arguments = job.arguments
        set_threads(arguments.threads)
        settings = GateSettings.parse(arguments.settings)
        description = Description.read(arguments.generator)
        arrays, _ = read_tensors(arguments.latents, "latents", "labels")
        latents, labels = (torch.from_numpy(arrays[name]) for name in ("latents", "labels"))
        images = diffusion_sampling.decoded(stable_diffusion.load(arguments.generator), latents)
        classifier, cpu = Classifier.load(arguments.classifier), torch.device("cpu")
        logits, features = logits_and_features(classifier, images.numpy(), cpu)
        _, train = logits_and_features(classifier, read_images(arguments.train).images, cpu)
        _, validation = logits_and_features(classifier, read_images(arguments.val).images, cpu)
        verdict = gate(logits, features, labels, train, validation, settings)
        accepted = shares(verdict, labels, description.classes)
        with job.writing(arguments.output[0]) as path:
            made = {name: value.numpy() for name, value in vars(verdict).items()}
            header = {"classes": description.classes, "accepted": accepted}
            write_tensors(path, made | {"labels": labels.numpy(), "images": images.numpy()}, header)
        elsewhere = float(((verdict.prediction != labels) & ~verdict.accepted).float().mean())
        print(f"accepted {accepted}; {elsewhere:.1%} of all rejected as another ID class")

    parser = stage.parser(__doc__)
    parser.add_argument("--generator", type=Path, required=True, help="folder of a Stable Diffusion")
    parser.add_argument("--latents", type=Path, required=True, help="what latents wrote")
    parser.add_argument("--classifier", type=Path, required=True, help="model that learned from real images alone")
    parser.add_argument("--train", type=Path, required=True, help="ID training images")
    parser.add_argument("--val", type=Path, required=True, help="ID validation images")
    stage.run(parser, work, command_line)


if __name__ == "__main__":
    main()
