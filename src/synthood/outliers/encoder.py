"""The text-aligned encoder (arXiv 2309.13415, step 1): cosines to the class words' token embeddings."""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthood.common.iterate import Iteration, ResumeFile
from synthood.common.schedules import warmed_cosine
from synthood.common.seeds import derived_seed, generator
from synthood.common.tensors import read_tensors
from synthood.errors import SynthoodError
from synthood.outliers.encoders.text_aligned import TextAlignedEncoder
from synthood.outliers.spaces import EmbeddingSpace
from synthood.training.batches import Composition
from synthood.training.feed import Labelled
from synthood.training.networks.architectures.base import ImageNetwork, build
from synthood.training.networks.model import ImageModel
from synthood.training.networks.pretrained import initial, input_statistics
from synthood.training.networks.settings import network_described

CPU = torch.device("cpu")
FINAL_SHARE = 0.01
"""Learning rate at the end of the cosine, as a share of the first."""


class TextAligned(nn.Module):
    """A residual network whose output [N,D] lies in the space of the anchors [C,D]."""

    def __init__(self, network: ImageNetwork, anchors: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("anchors", anchors)

    def forward(self, images: Tensor) -> Tensor:
        """Unit embeddings float32 [N,D]."""
        return F.normalize(self.network(images).float())

    def cosines(self, embeddings: Tensor) -> Tensor:
        """Cosines [N,C] of unit embeddings to the anchors."""
        return embeddings @ F.normalize(self.get_buffer("anchors")).T


@dataclass
class Encoder(ImageModel):
    """A fitted encoder."""

    module: TextAligned
    space: EmbeddingSpace

    def features(self, images: Tensor) -> Tensor:
        """Unit embeddings float32 [N,D] of images uint8 [N,H,W,3], on the module's device."""
        self.module.eval()
        unit: Tensor = self.module(self.normalised(images.to(self.module.get_buffer("anchors").device)))
        return unit

    def save(self, path: Path) -> None:
        self.write(path, self.module, space=self.space.header())

    @classmethod
    def load(cls, path: Path) -> "Encoder":
        arrays, header = read_tensors(path)
        settings = network_described(header["network"])
        anchors = torch.from_numpy(arrays["anchors"])
        module = TextAligned(build(settings, anchors.shape[1], seed=0), anchors)
        module.load_state_dict({key: torch.from_numpy(array) for key, array in arrays.items()})
        space = EmbeddingSpace.of(header, path)
        return cls(settings, header["classes"], header["mean"], header["deviation"], module.eval(), space)


def fit_encoder(
    images: Labelled,
    anchors: Tensor,
    settings: TextAlignedEncoder,
    resume: ResumeFile,
    text_encoder: str,
    device: torch.device = CPU,
) -> Encoder:
    """Cross-entropy over cosines to the anchors [C,D], divided by the temperature.

    Images that are stored encoded are decoded batch by batch, so that there may be more than memory holds.
    `text_encoder` is the digest of whose anchors they are. Raises SynthoodError where anchors and classes differ in
    number, or a loss is not finite.
    """
    if len(anchors) != len(images.classes):
        raise SynthoodError(
            f"{len(anchors)} class words have embeddings, but the images have {len(images.classes)} classes"
        )
    mean, deviation = input_statistics(settings.network, images.images)
    network = initial(settings.network, anchors.shape[1], derived_seed(settings.seed, "encoder"))
    height, width = images.images.shape[1:3]
    settings.network.check(network, height, width)
    module = TextAligned(network, anchors).to(device)
    space = EmbeddingSpace(settings.kind, settings.anchors, text_encoder)
    encoder = Encoder(settings.network.architecture, images.classes, mean, deviation, module, space)
    labels = torch.from_numpy(images.labels)
    composition = Composition(len(images), 0, settings.batch_size, settings.batch_size, settings.seed)
    total = settings.epochs * composition.steps_per_epoch
    optimizer = torch.optim.SGD(
        network.parameters(), settings.learning_rate, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    prepared = settings.augmentation.prepared(encoder.normalised, height, width, settings.seed, device)
    loop = Iteration("encoder", total, resume, {"module": encoder.module, "optimizer": optimizer})
    batches: list[Tensor] = []
    encoder.module.train()
    for step in loop:
        epoch, position = divmod(step, composition.steps_per_epoch)
        batches = composition.epoch(epoch) if position == 0 or not batches else batches
        rate = settings.learning_rate * warmed_cosine(step, total, 0, last=FINAL_SHARE)
        optimizer.param_groups[0]["lr"] = rate
        chosen = batches[position]
        random = generator(settings.seed, "encoder", step)
        pixels = torch.from_numpy(images.images[chosen.numpy()]).to(device)
        inputs = prepared(pixels, random)
        embeddings = encoder.module(inputs.contiguous(memory_format=torch.channels_last))
        loss = F.cross_entropy(encoder.module.cosines(embeddings) / settings.temperature, labels[chosen].to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loop.check(step, rate, epoch, loss=float(loss.detach()))
    encoder.module.eval()
    return encoder
