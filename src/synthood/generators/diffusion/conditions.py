"""What a Stable Diffusion's U-Net is told of its prompts."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from torch import Tensor

from synthood.common.finite import check_rows
from synthood.errors import SynthoodError
from synthood.generators.diffusion.precision import remedy

ENCODED_AT_ONCE = 256


@dataclass(frozen=True)
class Conditions:
    """Encodings [K,L,W] of K distinct prompts, the one of each image [N], and what guidance leads away from [1,L,W].

    Of XL also the pooled encodings [K,P] and [1,P].
    """

    encoded: Tensor
    prompt: Tensor
    away: Tensor
    pooled: Tensor | None = None
    pooled_away: Tensor | None = None

    def rows(self, batch: list[int]) -> "Conditions":
        """Of some of the images."""
        return replace(self, prompt=self.prompt[torch.tensor(batch)])

    def with_encoded(self, encoded: Tensor) -> "Conditions":
        """Encodings [N,L,W] made elsewhere, one per image."""
        return replace(self, encoded=encoded.to(self.away.device), prompt=torch.arange(len(encoded)))

    def inputs(self, dtype: torch.dtype, guided: bool, side: int) -> dict[str, Any]:
        """The U-Net's arguments; with guidance first the half without the prompt. `side` in pixels is XL's."""
        index = self.prompt.to(self.encoded.device)
        encoded, count = self.encoded[index], len(index)
        if guided:
            encoded = torch.cat([self.away.expand(count, -1, -1), encoded])
        told: dict[str, Any] = {"encoder_hidden_states": encoded.to(dtype)}
        if self.pooled is not None and self.pooled_away is not None:
            pooled = self.pooled[index]
            if guided:
                pooled = torch.cat([self.pooled_away.expand(count, -1), pooled])
            # Original size, corner and target size of the crop.
            sizes = torch.tensor([[side, side, 0, 0, side, side]], dtype=dtype, device=encoded.device)
            told["added_cond_kwargs"] = {"text_embeds": pooled.to(dtype), "time_ids": sizes.expand(len(pooled), -1)}
        return told


@torch.no_grad()
def encoded_prompts(pipeline: StableDiffusionPipeline, prompts: list[str], negative: str) -> Conditions:
    """Every distinct prompt encoded once, and the negative one, by default empty; SynthoodError at one not finite."""
    distinct = {prompt: number for number, prompt in enumerate(dict.fromkeys(prompts))}
    refuse_long(pipeline, [*distinct, negative])
    index = torch.tensor([distinct[prompt] for prompt in prompts])
    encoded, pooled = _encoded(pipeline, list(distinct))
    away, pooled_away = _encoded(pipeline, [negative])
    if pooled_away is not None and not negative and pipeline.config.force_zeros_for_empty_prompt:
        away, pooled_away = torch.zeros_like(away), torch.zeros_like(pooled_away)
    return Conditions(encoded, index, away, pooled, pooled_away)


def refuse_long(pipeline: StableDiffusionPipeline, prompts: list[str]) -> None:
    """Raises SynthoodError at a prompt that the text encoder would cut."""
    most = pipeline.tokenizer.model_max_length
    for prompt, ids in zip(prompts, pipeline.tokenizer(prompts).input_ids, strict=True):
        if len(ids) > most:
            raise SynthoodError(
                f"the prompt {prompt!r} is {len(ids)} tokens, the checkpoint reads {most}; shorten it or its gloss"
            )


def _encoded(pipeline: StableDiffusionPipeline, prompts: list[str]) -> tuple[Tensor, Tensor | None]:
    """Encodings float32 [K,L,W], and XL's pooled ones [K,P]."""
    found, pooled = [], []
    for first in range(0, len(prompts), ENCODED_AT_ONCE):
        part = prompts[first : first + ENCODED_AT_ONCE]
        told = {"device": pipeline.device, "num_images_per_prompt": 1, "do_classifier_free_guidance": False}
        if isinstance(pipeline, StableDiffusionXLPipeline):
            encoded, _, one, _ = pipeline.encode_prompt(part, **told)
            pooled.append(one.float())
        else:
            encoded, _ = pipeline.encode_prompt(part, **told)
        found.append(encoded.float())
    both = torch.cat(found), torch.cat(pooled) if pooled else None
    for one in both:
        if one is not None:
            check_rows(one, lambda index: f"prompt {prompts[index]!r}", "its encodings", remedy(pipeline.text_encoder))
    return both
