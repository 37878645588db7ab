"""Classifiers on cached features of a frozen backbone: the same head, fed with features in the place of images."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from synthood.common.tensors import map_tensors, read_header
from synthood.errors import SynthoodError
from synthood.training.networks.architectures.base import Headed, ImageNetwork
from synthood.training.networks.model import Classifier


@dataclass(frozen=True)
class FeatureSet:
    """A set of images as features of a frozen backbone.

    images float32 [N,V,D], the clean view of each image first; labels int64 [N]; pixel_sha256 uint8 [N,32]; what the
    backbone's inputs were normalised by; and the digest of the backbone's weights.
    """

    images: np.ndarray
    labels: np.ndarray
    pixel_sha256: np.ndarray
    classes: list[str]
    mean: list[float]
    deviation: list[float]
    backbone: str

    def __len__(self) -> int:
        return len(self.images)

    def of(self, pixel_sha256: np.ndarray, where: Path) -> np.ndarray:
        """The features; raises where they are not of images with these digests, in this order."""
        if not np.array_equal(self.pixel_sha256, pixel_sha256):
            raise SynthoodError(f"{where}: the cached features are of other images; delete them and run again")
        return self.images


def open_features(path: Path) -> FeatureSet:
    """What `backbone_features` wrote; features are read from disk where they are used."""
    arrays = {name: found.numpy() for name, found in map_tensors(path, "features", "labels", "pixel_sha256").items()}
    header, _ = read_header(path)
    if not {"classes", "mean", "deviation", "backbone"} <= header.keys():
        raise SynthoodError(f"{path}: not features of a frozen backbone; delete it and run again")
    return FeatureSet(arrays["features"], arrays["labels"], arrays["pixel_sha256"], **header)


class FeatureNetwork(ImageNetwork):
    """The part of a network above its backbone, whose modules it shares: features [N,D] to logits [N,C]."""

    def __init__(self, network: ImageNetwork) -> None:
        super().__init__()
        self.neck: nn.Module = network.neck if isinstance(network, Headed) else nn.Identity()
        self.head = network.head
        self.form = network.form if isinstance(network, Headed) else None

    def features(self, images: Tensor) -> Tensor:
        features: Tensor = self.neck(images)
        return features

    def after_step(self) -> None:
        if self.form is not None:
            self.form.after_step(self.head)


@dataclass
class FeatureClassifier(Classifier):
    """A classifier whose network takes the clean view of cached features, of a backbone with this digest."""

    backbone: str

    @classmethod
    def above(cls, whole: Classifier, backbone: str, where: object) -> "FeatureClassifier":
        """Of a whole classifier, whose head learns with it; raises where its backbone is another than the features'."""
        if backbone_digest(whole.network) != backbone:
            raise SynthoodError(
                f"{where}: its backbone has other weights than the one of the cached features; a recipe with "
                f"`freeze: backbone`, its teacher and its warm start share all of `network` but the head"
            )
        network = FeatureNetwork(whole.network)
        return cls(whole.settings, whole.classes, whole.mean, whole.deviation, network, backbone)

    def normalised(self, images: Tensor) -> Tensor:
        """The clean view [N,D] of features [N,V,D]."""
        return images[:, 0]

    def whole(self, below: Classifier) -> Classifier:
        """The classifier of images: this one's head above the backbone of `below`."""
        network = below.network
        network.head = self.network.head
        if isinstance(network, Headed) and isinstance(self.network, FeatureNetwork):
            network.neck = self.network.neck
        return below


def drawn_view(features: Tensor, random: torch.Generator) -> Tensor:
    """One view [N,D] of features [N,V,D], for each sample by its own draw."""
    count, views = features.shape[:2]
    if views == 1:
        return features[:, 0]
    chosen = torch.randint(views, (count,), generator=random).to(features.device, non_blocking=True)
    return features[torch.arange(count, device=features.device), chosen]


def below_head(network: ImageNetwork) -> ImageNetwork:
    """The network whose `features` are the backbone's."""
    return network.network if isinstance(network, Headed) else network


def backbone_digest(network: ImageNetwork) -> str:
    """SHA-256 of the weights and statistics below the head."""
    digest = hashlib.sha256()
    for key, value in sorted(below_head(network).state_dict().items()):
        if not key.startswith("head."):
            digest.update(f"{key} {list(value.shape)} ".encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
