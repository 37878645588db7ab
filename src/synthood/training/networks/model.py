"""A trained classifier as a file: weights, and what is needed to use them."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from synthood.common.encoded import EncodedImages
from synthood.common.finite import check_rows, check_state, numbered
from synthood.common.tensors import read_tensors, write_tensors
from synthood.errors import SynthoodError
from synthood.training.networks.architectures.base import ImageNetwork, NetworkSettings, build, channels_last
from synthood.training.networks.pretraining import Pretraining
from synthood.training.networks.settings import network_described

EVALUATION_BATCH = 512
MOST_PIXELS = 1 << 28


@dataclass
class ImageModel:
    """A network's settings with its class names and the mean and deviation of its input channels, in [0,1]."""

    settings: NetworkSettings
    classes: list[str]
    mean: list[float]
    deviation: list[float]

    def normalised(self, images: Tensor) -> Tensor:
        """Images uint8 [N,H,W,3] as the network's input, float32 [N,3,H,W] channels last."""
        # Copies that do not wait for what the device still has to do.
        mean = torch.tensor(self.mean).to(images.device, non_blocking=True)
        deviation = torch.tensor(self.deviation).to(images.device, non_blocking=True)
        return ((images.float() / 255 - mean) / deviation).permute(0, 3, 1, 2)

    def write(self, path: Path, module: nn.Module, **more: object) -> None:
        """Writes the module's weights with what is needed to use them, and `more` of it."""
        header = {
            "network": self.settings.described(),
            "classes": self.classes,
            "mean": self.mean,
            "deviation": self.deviation,
            **more,
        }
        state = module.state_dict()
        check_state(state, "the fitted network", "lower the learning rate, or fit with `precision: float32`")
        write_tensors(path, {key: value.cpu().contiguous().numpy() for key, value in state.items()}, header)


@dataclass
class Classifier(ImageModel):
    """A network that gives logits of its classes."""

    network: ImageNetwork
    pretraining: Pretraining | None = field(default=None, kw_only=True)

    def save(self, path: Path) -> None:
        more = {} if self.pretraining is None else {"pretraining": asdict(self.pretraining)}
        self.write(path, self.network, **more)

    @classmethod
    def load(cls, path: Path) -> "Classifier":
        """Reads a model; a state that does not fit its network is an error."""
        arrays, header = read_tensors(path)
        settings = network_described(header["network"])
        network = build(settings, len(header["classes"]), seed=0)
        state = {key: torch.from_numpy(array) for key, array in arrays.items()}
        wrong = sorted(set(state) ^ set(network.state_dict()))
        if wrong:
            raise SynthoodError(f"{path}: weights missing or unknown, e.g. {wrong[0]} ({len(wrong)} in all)")
        network.load_state_dict(state)
        facts = (header["classes"], header["mean"], header["deviation"], network.eval())
        pretraining = Pretraining(**header["pretraining"]) if "pretraining" in header else None
        return cls(settings, *facts, pretraining=pretraining)


def channel_statistics(images: np.ndarray | EncodedImages) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel of images uint8 [N,H,W,3], in [0,1].

    Where they have more than 2^28 pixels, of images of so many in all, at equal distances.
    """
    count = min(len(images), max(1, MOST_PIXELS // (images.shape[1] * images.shape[2])))
    rows = np.linspace(0, len(images) - 1, count).round().astype(np.int64)
    sums, squares, pixels = np.zeros(3, np.int64), np.zeros(3, np.int64), 0
    for first in range(0, count, EVALUATION_BATCH):
        some = images[rows[first : first + EVALUATION_BATCH]].reshape(-1, 3)
        sums += some.sum(0, dtype=np.int64)
        squares += np.square(some, dtype=np.uint16).sum(0, dtype=np.int64)
        pixels += len(some)
    mean = sums / pixels / 255
    variance = np.maximum(squares / pixels - (sums / pixels) ** 2, 0) / 255**2
    return [round(float(v), 6) for v in mean], [round(max(float(v), 1e-3), 6) for v in np.sqrt(variance)]


def inputs_of(
    model: ImageModel, images: np.ndarray | EncodedImages, device: torch.device, batch: int = EVALUATION_BATCH
) -> Iterator[Tensor]:
    """Images uint8 [N,H,W,3] as the network's inputs float32 [B,3,H,W], batch by batch."""
    for first in range(0, len(images), batch):
        pixels = torch.from_numpy(images[first : first + batch])
        yield channels_last(model.normalised(pixels.to(device)))


@torch.no_grad()
def logits_and_features(
    classifier: Classifier, images: np.ndarray | EncodedImages, device: torch.device, finite: bool = True
) -> tuple[Tensor, Tensor]:
    """Float32 logits [N,C] and penultimate features [N,D] of images uint8 [N,H,W,3], on the CPU, batch by batch.

    Raises SynthoodError at the first image whose logits or features are not finite, unless `finite` is false.
    """
    network = classifier.network.eval()
    logits, features = [], []
    for inputs in inputs_of(classifier, images, device):
        penultimate = network.features(inputs)
        features.append(penultimate.float().cpu())
        logits.append(network.head(penultimate).float().cpu())
    found = torch.cat(logits), torch.cat(features)
    for values in found if finite else ():
        check_rows(values, numbered, "the classifier's logits or features", "the classifier is broken, train it again")
    return found
