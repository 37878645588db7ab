"""Stable Diffusion: fitted on the ID images in miniature, or a pretrained checkpoint that may be adapted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from synthood.common.lazy import np
from synthood.data.files.settings import ClassName
from synthood.generators.diffusion.samplers.base import AnySampler, default_sampler
from synthood.generators.diffusion.settings import Pretrained, Prompt, StableDiffusionFit, Text, Weights
from synthood.generators.kinds.base import ImageGenerator, Outside, state_of_folders
from synthood.generators.kinds.fitting import FitTask, Fitting
from synthood.generators.kinds.sampling import Draw, Sampling


class StableDiffusionFitting(Fitting):
    """What `fit_generator` needs of Stable Diffusion."""

    kind: Literal["stable-diffusion"] = "stable-diffusion"
    fit: Annotated[StableDiffusionFit | None, Field(description="a miniature, fitted from scratch")] = None
    pretrained: Annotated[Pretrained | None, Field(description="a checkpoint made elsewhere")] = None
    words: Annotated[dict[ClassName, Text], Field(description="word by class name; else the name itself")] = {}
    glosses: Annotated[dict[ClassName, Text], Field(description="description by class name; else its word")] = {}

    @model_validator(mode="after")
    def fitted_or_pretrained(self) -> Self:
        if (self.fit is None) == (self.pretrained is None):
            raise ValueError("needs either `fit:` (a miniature) or `pretrained:` (a checkpoint), and not both")
        return self

    @property
    def learns(self) -> bool:
        return self.pretrained is None or self.pretrained.adapt is not None

    def fit_generator(self, task: FitTask) -> dict[str, Any]:
        from synthood.generators.diffusion.fit import fit_stable_diffusion

        settings = self.fit or self.pretrained
        assert settings is not None
        fit_stable_diffusion(task, settings, self.words, self.glosses)
        return {"precision": str(task.dtype)}


class StableDiffusionSampling(Sampling):
    """What `synthesise` needs of Stable Diffusion."""

    kind: Literal["stable-diffusion"] = "stable-diffusion"
    prompts: Annotated[
        list[Prompt], Field(description="each image takes one, by its own seed; none: the generator's own prompt")
    ] = []
    sample: AnySampler = default_sampler()

    @property
    def sampling_seed(self) -> int:
        return self.sample.seed

    def draw(self, wanted: Draw) -> np.ndarray:
        from synthood.generators.diffusion import pipelines, sampling
        from synthood.generators.diffusion.prompts import prompts_of

        prompts = prompts_of(wanted.description, self.prompts, wanted.labels, wanted.seeds)
        pipeline = pipelines.load(wanted.folder).to(wanted.device)
        size = wanted.description.image_size or None
        return sampling.sample(pipeline, prompts, wanted.seeds, self.sample, size, wanted.name).numpy()


class StableDiffusion(StableDiffusionFitting, StableDiffusionSampling, ImageGenerator):
    """A diffusers.StableDiffusionPipeline, fitted on the ID images and the sets in `fit.extra_sets`, or pretrained."""

    @model_validator(mode="before")
    @classmethod
    def pretrained_is_sampled_fast(cls, value: Any) -> Any:
        if not isinstance(value, dict) or value.get("pretrained") is None:
            return value
        sample = value.get("sample", {})
        return value | {"sample": {"sampler": "fast", **sample}} if isinstance(sample, dict) else value

    @property
    def seen(self) -> str | None:
        return self.prior or (f"the checkpoint {self.pretrained.source}" if self.pretrained else None)

    @property
    def learned_also(self) -> list[str]:
        return self.fit.extra_sets if self.fit else []

    @property
    def weights(self) -> dict[str, Weights]:
        """Where weights lie, by key."""
        found = {"pretrained": self.pretrained, "pretrained.lora": self.pretrained.lora if self.pretrained else None}
        return {key: weights for key, weights in found.items() if weights is not None}

    def outside(self) -> Iterator[Outside]:
        for key, weights in self.weights.items():
            if weights.revision is None:  # else the hub's cache may hold it
                yield Outside(f"{key}.from", Path(weights.source))

    def state(self, folder: Path) -> str:
        return state_of_folders([Path(weights.source) for weights in self.weights.values()], folder)
