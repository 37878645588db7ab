"""BigGAN, fitted on the ID images or taken from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from synthood.common.lazy import np, torch
from synthood.generators.biggan.settings import BigGANSample, Fit, HingeFit, Pretrained
from synthood.generators.kinds.base import ImageGenerator, Outside, state_of_folders
from synthood.generators.kinds.fitting import FitTask, Fitting
from synthood.generators.kinds.sampling import Draw, Sampling


class BigGANFitting(Fitting):
    """What `fit_generator` needs of a BigGAN: how it is fitted, or where it is taken from."""

    kind: Literal["biggan"] = "biggan"
    fit: Annotated[Fit | None, Field(description="a small BigGAN fitted on the ID images")] = None
    pretrained: Pretrained | None = None

    @model_validator(mode="after")
    def _fitted_or_pretrained(self) -> BigGANFitting:
        if (self.fit is None) == (self.pretrained is None):
            raise ValueError("a BigGAN has either `fit` or `pretrained`; give one of them")
        return self

    @property
    def learns(self) -> bool:
        return self.fit is not None

    def fit_generator(self, task: FitTask) -> dict[str, Any]:
        if self.pretrained is not None:
            from synthood.generators.biggan import pretrained

            pretrained.adopt(self.pretrained, task.classes, task.size[0], task.folder)
        elif self.fit is not None:
            from synthood.generators.biggan.fit import fit_biggan

            fit_biggan(task.train, self.fit, task.classifier, task.dtype, task.device, task.resume, task.folder)
        return {}


class BigGANSampling(Sampling):
    """What `synthesise` needs of a BigGAN."""

    kind: Literal["biggan"] = "biggan"
    sample: BigGANSample = BigGANSample()

    @property
    def sampling_seed(self) -> int:
        return self.sample.seed

    def draw(self, wanted: Draw) -> np.ndarray:
        from synthood.generators.biggan import network

        classes = torch.tensor(generator_classes(wanted.description.class_ids, wanted.labels, wanted.seeds))
        loaded, size = network.load(wanted.folder).to(wanted.device), wanted.description.image_size
        return network.sample(loaded, classes, wanted.seeds, self.sample.truncation, size, wanted.name).numpy()


def generator_classes(class_ids: list[list[int]], labels: list[int], seeds: list[int]) -> list[int]:
    """The generator's class of each ID label; where an ID class has several, the image's seed chooses."""
    each = [class_ids[label] if class_ids else [label] for label in labels]
    return [ids[seed % len(ids)] for ids, seed in zip(each, seeds, strict=True)]


class BigGANDeep(BigGANFitting, BigGANSampling, ImageGenerator):
    """BigGAN-deep by pytorch-pretrained-biggan, fitted here or taken from elsewhere."""

    paper = "arXiv 1809.11096"

    @property
    def seen(self) -> str | None:
        return self.prior or (f"the checkpoint {self.pretrained.source}" if self.pretrained else None)

    @property
    def watched_by(self) -> tuple[str, int] | None:
        watch = self.fit.watch if isinstance(self.fit, HingeFit) else None
        return (watch.classifier, watch.classifier_seed) if watch and watch.classifier else None

    def outside(self) -> Iterator[Outside]:
        if self.pretrained and not re.fullmatch(r"biggan-deep-(128|256|512)", self.pretrained.source):
            for file in ("config.json", "pytorch_model.bin"):
                yield Outside("pretrained.from", Path(self.pretrained.source) / file)

    def state(self, folder: Path) -> str:
        return state_of_folders([Path(self.pretrained.source)] if self.pretrained else [], folder)
