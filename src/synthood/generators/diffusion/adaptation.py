"""Adapting a pretrained Stable Diffusion to the ID images: low-rank weights, or a learned token for each class."""

import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline
from torch import Tensor, nn

from synthood.common.arithmetic import autocast
from synthood.common.finite import check_rows
from synthood.common.images import ImageSet
from synthood.common.iterate import Iteration, ResumeFile, Stateful
from synthood.common.pixels import signed
from synthood.common.seeds import derived_seed, generator
from synthood.errors import SynthoodError
from synthood.generators.diffusion import pipelines
from synthood.generators.diffusion.conditions import encoded_prompts
from synthood.generators.diffusion.prompt_tokens import token_ids
from synthood.generators.diffusion.sampling import DECODED_PIXELS, fitted
from synthood.generators.diffusion.settings import Adaptation

RATES = {"lora": 1e-4, "tokens": 5e-3}
PROMPT_DROPOUT = 0.1
"""Share of images learned with the empty prompt, for guidance (arXiv 2207.12598)."""
ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]


def adapt(
    pipeline: StableDiffusionPipeline,
    images: ImageSet,
    template: str,
    words: list[str],
    settings: Adaptation,
    dtype: torch.dtype,
    resume: ResumeFile,
) -> list[nn.Parameter]:
    """Learns from prompts `template` with the word of each class; returns what was learned.

    For `lora` the U-Net has an adapter afterwards; for `tokens` the one parameter is the table float32 [C,D] of the
    classes' new tokens. Raises SynthoodError for tokens of XL, whose two text encoders would need two tables.
    """
    device = pipeline.device
    for network in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
        network.requires_grad_(False)
    if settings.kind == "lora":
        learned = low_rank(pipeline, settings)
        conditions = encoded_prompts(pipeline, [*(template.format(word=word) for word in words), ""], "")
    else:
        learned = [new_tokens(pipeline, words)]
        prompts = [template.format(word=token) for token in pipelines.class_tokens(len(words))]
        ids = token_ids(pipeline, prompts).to(device)
    latents = latents_of(pipeline, images, settings.flip)
    labels = torch.from_numpy(images.labels).repeat(len(latents) // len(images))
    noising = DDPMScheduler.from_config(pipeline.scheduler.config)
    rate = settings.learning_rate or RATES[settings.kind]
    optimizer = torch.optim.AdamW(learned, rate, weight_decay=1e-2 if settings.kind == "lora" else 0.0)
    parts: dict[str, Stateful] = {"learned": nn.ParameterList(learned), "optimizer": optimizer}
    loop = Iteration(f"adaptation by {settings.kind}", settings.steps, resume, parts)
    side = latents.shape[-1] * pipeline.vae_scale_factor
    for step in loop:
        random = generator(settings.seed, "adaptation", step)
        chosen = torch.randint(0, len(latents), (settings.batch_size,), generator=random)
        clean = latents[chosen].to(device)
        noise = torch.randn(clean.shape, generator=random).to(device)
        time = torch.randint(0, noising.config.num_train_timesteps, (len(clean),), generator=random).to(device)
        with autocast(dtype, device):
            if settings.kind == "lora":
                dropped = torch.rand(len(clean), generator=random) < PROMPT_DROPOUT
                prompt = torch.where(dropped, len(words), labels[chosen])
                told = conditions.rows(prompt.tolist()).inputs(torch.float32, False, side)
            else:
                states = with_rows(pipeline, ids[labels[chosen].to(device)], learned[0])
                told = {"encoder_hidden_states": states}
            predicted = pipeline.unet(noising.add_noise(clean, noise, time), time, **told).sample
        loss = F.mse_loss(predicted.float(), target(noising, clean, noise, time))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        loop.check(step, rate, loss=float(loss.detach()))
    return learned


def target(noising: DDPMScheduler, clean: Tensor, noise: Tensor, time: Tensor) -> Tensor:
    """What the U-Net of this checkpoint predicts: noise, or v (arXiv 2202.00512), or the image itself."""
    kind = noising.config.prediction_type
    if kind == "v_prediction":
        return noising.get_velocity(clean, noise, time)
    return clean if kind == "sample" else noise


def low_rank(pipeline: StableDiffusionPipeline, settings: Adaptation) -> list[nn.Parameter]:
    """Adds an adapter to the U-Net's attention, drawn from the seed; its parameters."""
    pipelines.need_peft()
    from peft import LoraConfig

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(settings.seed, "low-rank"))
        configuration = LoraConfig(r=settings.rank, lora_alpha=settings.rank, target_modules=ATTENTION)
        pipeline.unet.add_adapter(configuration)
    return [one for one in pipeline.unet.parameters() if one.requires_grad]


def new_tokens(pipeline: StableDiffusionPipeline, words: list[str]) -> nn.Parameter:
    """A new token for each class, with the mean embedding of its word's tokens; float32 [C,D]."""
    if isinstance(pipeline, StableDiffusionXLPipeline):
        raise SynthoodError("adapt.kind tokens: XL reads its prompts by two text encoders; take kind lora")
    table = pipeline.text_encoder.get_input_embeddings().weight.detach()
    ids = pipeline.tokenizer(words, add_special_tokens=False).input_ids
    embeddings = torch.stack([table[torch.tensor(own, device=table.device)].mean(0) for own in ids])
    pipelines.add_tokens(pipeline, embeddings)
    pipeline.text_encoder.requires_grad_(False)
    return nn.Parameter(embeddings.clone())


def with_rows(pipeline: StableDiffusionPipeline, ids: Tensor, rows: Tensor) -> Tensor:
    """Encodings [N,L,W] of ids [N,L] whose last tokens of the vocabulary have `rows` [C,D] as embeddings."""
    first = len(pipeline.tokenizer) - len(rows)

    def replace(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        own = rows[(inputs[0] - first).clamp(min=0)].to(output)
        return torch.where((inputs[0] >= first)[..., None], own, output)

    hook = pipeline.text_encoder.get_input_embeddings().register_forward_hook(replace)
    try:
        encoded: Tensor = pipeline.text_encoder(ids).last_hidden_state
    finally:
        hook.remove()
    return encoded


@torch.no_grad()
def latents_of(pipeline: StableDiffusionPipeline, images: ImageSet, flip: bool) -> Tensor:
    """Scaled latents float32 [N,4,h,w], of mirrored images after them, at the checkpoint's size."""
    side = pipeline.unet.config.sample_size * pipeline.vae_scale_factor
    made: list[Tensor] = []
    for mirrored in (False, True) if flip else (False,):
        for part in torch.from_numpy(images.images).split(max(1, DECODED_PIXELS // side**2)):
            points = signed(part.to(pipeline.device))
            points = fitted(points.flip(3) if mirrored else points, side, side).clamp(-1, 1)
            made.append(pipeline.vae.encode(points).latent_dist.mean.float().cpu())
    every = torch.cat(made)
    named = [f"training image {index % len(images)}" for index in range(len(every))]
    check_rows(every, named.__getitem__, "the latents that it is encoded to", pipelines.BROKEN)
    return every * pipeline.vae.config.scaling_factor
