"""Outliers and ID samples of the same kinds, as the outlier stages left them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from synthood.common.images import read_images
from synthood.common.lazy import Tensor, np, torch
from synthood.common.tensors import read_tensors
from synthood.errors import SynthoodError


@dataclass(frozen=True)
class Space:
    """One kind of sample: of the N ID training images, and outliers.

    id float32 [N,...], id_labels int64 [N], outliers float32 [M,...], outlier_labels int64 [M] (the intended class).
    """

    id: Tensor
    id_labels: Tensor
    outliers: Tensor
    outlier_labels: Tensor

    def other_classes(self) -> Space:
        """ID samples in the outliers' place, for the control that takes those of other classes."""
        return Space(self.id, self.id_labels, self.id, self.id_labels)


@dataclass(frozen=True)
class OutlierSet:
    """Embeddings of the text-aligned encoder [N,D] and latents of the autoencoder [N,c,h,w]."""

    token: Space
    latent: Space

    @classmethod
    def read(cls, embed: Path, boundary: Path, latents: Path, gate: Path, labels: np.ndarray) -> OutlierSet:
        """From what embed, boundary, latents and gate wrote.

        Raises SynthoodError where they are not of the training images with these labels.
        """
        own, _ = read_tensors(embed, "embeddings", "labels")
        found, _ = read_tensors(boundary, "embeddings", "labels")
        sampled, _ = read_tensors(latents, "latents", "labels", "id_latents")
        (kept,) = read_tensors(gate, "kept")[0].values()
        for path, count in ((embed, len(own["labels"])), (latents, len(sampled["id_latents"]))):
            if count != len(labels):
                raise SynthoodError(f"{path}: made of {count} images, but there are {len(labels)} training images")
        if not np.array_equal(own["labels"], labels):
            raise SynthoodError(f"{embed}: made of other training images; delete it and run again")
        ids = torch.from_numpy(labels)
        return cls(
            Space(*(torch.from_numpy(a) for a in (own["embeddings"], labels, found["embeddings"], found["labels"]))),
            Space(
                torch.from_numpy(sampled["id_latents"]).float(),
                ids,
                torch.from_numpy(sampled["latents"][kept]).float(),
                torch.from_numpy(sampled["labels"][kept]),
            ),
        )


def exposed_images(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The images uint8 [M,H,W,3] that a gate kept, or all of an image set.

    Raises SynthoodError unless they are of `shape` [H,W,3].
    """
    arrays, _ = read_tensors(path)
    images = arrays["images"][arrays["kept"]] if "kept" in arrays else read_images(path).images
    if images.shape[1:] != shape:
        raise SynthoodError(f"{path}: outliers are {images.shape[1:]}, the training images {shape}")
    return np.ascontiguousarray(images)
