"""A BigGAN as a folder: fitted on the ID training images by one objective or the other."""

from pathlib import Path

import pandas as pd
import torch

from synthood.common.images import ImageSet
from synthood.common.iterate import ResumeFile
from synthood.common.pixels import signed
from synthood.errors import SynthoodError
from synthood.generators.biggan import hinge, vae
from synthood.generators.biggan import network as biggan
from synthood.generators.biggan.settings import BigGANFit, HingeFit
from synthood.generators.biggan.watching import Watcher
from synthood.generators.folder import Description
from synthood.training.networks.model import Classifier

MEASURED = "watch.csv"
"""What was measured during a fit by the hinge loss, row by row."""


def fit_biggan(
    train: ImageSet,
    settings: BigGANFit | HingeFit,
    classifier: Path | None,
    dtype: torch.dtype,
    device: torch.device,
    resume: ResumeFile,
    folder: Path,
) -> None:
    """Fits and saves a BigGAN; the hinge loss computes in `dtype`, the VAE-GAN in float32."""
    side, sides = train.images.shape[1], [32] if isinstance(settings, BigGANFit) else list(biggan.LAYERS)
    if side not in sides or train.images.shape[2] != side:
        raise SynthoodError(
            f"biggan: images of {' x '.join(map(str, train.images.shape[1:3]))} pixels, but it is fitted at "
            f"{', '.join(map(str, sides))}; set `size` of the dataset"
        )
    labels = torch.from_numpy(train.labels).to(device)
    if isinstance(settings, HingeFit):
        watcher = Watcher(settings.watch, train, Classifier.load(classifier) if classifier else None, device)
        pixels = torch.from_numpy(train.images).permute(0, 3, 1, 2).contiguous().to(device)
        network, measured = hinge.fit(pixels, labels, watcher, settings, dtype, resume)
    else:
        points = signed(train.images).to(device)
        network, measured = vae.fit(points, labels, len(train.classes), settings, resume), []
    folder.mkdir()
    biggan.save(network, folder)
    if measured:
        pd.DataFrame(measured).to_csv(folder / MEASURED, index=False, float_format="%.6g")
    Description("biggan", train.classes).write(folder)
