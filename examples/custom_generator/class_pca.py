"""Probabilistic PCA of each class's pixels (Tipping and Bishop, 1999): blurred, but a model of the images' density."""

from pathlib import Path

import numpy as np


class ClassPca:
    """x = mean + W z + noise with z ~ N(0, 1), one mean and W for each class, by maximum likelihood."""

    def __init__(self, components: int = 8) -> None:
        self.components = components

    def fit(
        self, images: np.ndarray, labels: np.ndarray, classes: list[str], seed: int, folder: Path, device: str
    ) -> None:
        """Writes the model of each class of images uint8 [N,H,W,3]; nothing is random, and all is done on the CPU."""
        for label in range(len(classes)):
            pixels = images[labels == label].reshape((labels == label).sum(), -1).astype(np.float64)
            mean = pixels.mean(0)
            _, singular, axes = np.linalg.svd(pixels - mean, full_matrices=False)
            variances, kept = singular**2 / len(pixels), min(self.components, len(pixels) - 1)
            rest = variances[kept:].sum() / max(1, len(mean) - kept)  # of each dimension left out (equation 8)
            scales = np.sqrt(np.maximum(variances[:kept] - rest, 0))
            np.savez(
                folder / f"{label}.npz",
                mean=mean,
                weights=axes[:kept] * scales[:, None],
                deviation=np.sqrt(rest),
                shape=images.shape[1:],
            )

    def sample(
        self, folder: Path, labels: np.ndarray, seeds: np.ndarray, device: str, noise: float = 1.0
    ) -> np.ndarray:
        """Images uint8 [N,H,W,3], each from the random numbers of its seed; `noise` scales what no component holds."""
        drawn = []
        for label, seed in zip(labels, seeds, strict=True):
            model, random = np.load(folder / f"{label}.npz"), np.random.default_rng(seed)
            pixels = model["mean"] + random.standard_normal(len(model["weights"])) @ model["weights"]
            pixels = pixels + noise * model["deviation"] * random.standard_normal(len(pixels))
            drawn.append(pixels.reshape(model["shape"]).round().clip(0, 255).astype(np.uint8))
        return np.stack(drawn)
