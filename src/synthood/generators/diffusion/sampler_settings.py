"""Settings of sampling Stable Diffusion: which sampler, how many steps, how much guidance."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from synthood.common.settings import Count, Seed, Settings

Steps = Annotated[int, Field(ge=1, description="of the sampler")]
Guidance = Annotated[float, Field(ge=1, description="towards the prompt (arXiv 2207.12598); 1: none")]


class Drawing(Settings):
    """What all samplers share."""

    batch_size: Annotated[int, Field(ge=1, description="images sampled at once; halved where memory runs out")] = 16
    negative_prompt: Annotated[str, Field(description="what guidance leads away from")] = ""
    size: Annotated[Count | None, Field(description="side in pixels of what is sampled; null: the checkpoint's")] = None
    precision: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"],
        Field(description="of the networks; auto: float32 on a CPU, bfloat16 or float16 on a GPU"),
    ] = "auto"
    compile: Annotated[bool, Field(description="torch.compile the U-Net; pays from some thousand images on")] = False
    seed: Seed = 0


class StableDiffusionSample(Drawing):
    """DPM-Solver++ (arXiv 2211.01095) with the steps and guidance that a miniature wants."""

    sampler: Literal["miniature"] = "miniature"
    steps: Steps = 10
    guidance: Guidance = 2.0
    batch_size: Annotated[
        int, Field(ge=1, description="images sampled at once; part of the result's last bits; halved without memory")
    ] = 100


class PaperSample(Drawing):
    """PLMS (arXiv 2202.09778), as Dream-OOD and OAL sample."""

    sampler: Literal["paper"]
    steps: Steps = 50
    guidance: Guidance = 7.5


class FastSample(Drawing):
    """DPM-Solver++ of second order (arXiv 2211.01095); what a pretrained checkpoint is sampled with by default."""

    sampler: Literal["fast"]
    steps: Steps = 20
    guidance: Guidance = 7.5


class FewStepSample(Drawing):
    """Checkpoints distilled for few steps: LCM and LCM-LoRA (arXiv 2311.05556), Turbo (arXiv 2311.17042)."""

    sampler: Literal["few-step"]
    steps: Annotated[int, Field(ge=1, le=8, description="of LCM, or of the checkpoint's own sampler")] = 4
    guidance: Guidance = 1.0


def named_sampler(value: Any) -> str:
    """The sampler that a section names, or `miniature` where it names none."""
    found = value.get("sampler", "miniature") if isinstance(value, dict) else getattr(value, "sampler", "miniature")
    return str(found)


Sample = Annotated[
    Annotated[StableDiffusionSample, Tag("miniature")]
    | Annotated[PaperSample, Tag("paper")]
    | Annotated[FastSample, Tag("fast")]
    | Annotated[FewStepSample, Tag("few-step")],
    Discriminator(named_sampler),
    Field(description="`sampler: paper`, `fast` or `few-step`; without one as a miniature wants it"),
]
