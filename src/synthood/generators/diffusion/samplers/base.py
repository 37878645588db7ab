"""What all samplers of Stable Diffusion share, and the key `sample` that chooses one."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from synthood.common.settings import Count, Seed
from synthood.plugins import OneOf, Plugin, default_of

PACKAGE = "synthood.generators.diffusion.samplers"
Steps = Annotated[int, Field(ge=1, description="of the sampler")]
Guidance = Annotated[float, Field(ge=1, description="towards the prompt (arXiv 2207.12598); 1: none")]


class Sampler(Plugin):
    """What all samplers share."""

    tag = "sampler"

    sampler: str
    steps: Steps
    guidance: Guidance
    batch_size: Annotated[int, Field(ge=1, description="images sampled at once; halved where memory runs out")] = 16
    negative_prompt: Annotated[str, Field(description="what guidance leads away from")] = ""
    size: Annotated[Count | None, Field(description="side in pixels of what is sampled; null: the checkpoint's")] = None
    precision: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"],
        Field(description="of the networks; auto: float32 on a CPU, bfloat16 or float16 on a GPU"),
    ] = "auto"
    compile: Annotated[bool, Field(description="torch.compile the U-Net; pays from some thousand images on")] = False
    seed: Seed = 0

    def scheduler(self, pipeline: Any) -> Any:
        """A fresh scheduler on the checkpoint's own noise schedule, its steps not yet set."""
        raise NotImplementedError


AnySampler = Annotated[
    Sampler,
    OneOf(PACKAGE),
    Field(description="`sampler: paper`, `fast` or `few-step`; without one as a miniature wants it"),
]


def default_sampler() -> Any:
    """The sampler of a section that names none."""
    return default_of(Sampler, PACKAGE)()  # type: ignore[misc,call-arg]  # all keys have defaults
