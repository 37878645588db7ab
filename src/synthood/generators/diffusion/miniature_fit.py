"""Fitting the miniature Stable Diffusion: autoencoder, then denoiser and text encoder together."""

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDPMScheduler, StableDiffusionPipeline
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn

from synthood.common.arithmetic import autocast
from synthood.common.averages import MovingAverage
from synthood.common.iterate import Iteration, ResumeFile
from synthood.common.schedules import warmed_cosine
from synthood.common.seeds import generator
from synthood.generators.diffusion.miniature import NOISE_SCHEDULE
from synthood.generators.diffusion.prompt_tokens import token_ids
from synthood.generators.diffusion.settings import StableDiffusionFit
from synthood.training.augmentation.geometry import shifted

AUTOENCODER_BATCH = 32
DIVERGENCE_WEIGHT, ABSOLUTE_WEIGHT = 1e-3, 0.1
SHIFTED_COPIES, SHIFT = 2, 2
PROMPT_DROPOUT = 0.1
"""Share of images learned with the empty prompt, for guidance (arXiv 2207.12598)."""
AVERAGE_DECAY = 0.995
FINAL_SHARE = 0.02
"""Learning rate at the end, as a share of the highest."""


def fit_autoencoder(
    autoencoder: AutoencoderKL, images: Tensor, settings: StableDiffusionFit, resume: ResumeFile
) -> None:
    """Fits on images float32 [N,3,H,W] in [-1,1], on their device; then scaling factor = 1 / std(latent)."""
    total, warmup = settings.autoencoder_steps, min(30, settings.autoencoder_steps)
    optimizer = torch.optim.AdamW(autoencoder.parameters(), settings.learning_rate, weight_decay=1e-4)
    loop = Iteration("autoencoder", total, resume, {"network": autoencoder, "optimizer": optimizer})
    autoencoder.train()
    for step in loop:
        random = generator(settings.seed, "autoencoder", step)
        rate = settings.learning_rate * warmed_cosine(step, total, warmup, last=FINAL_SHARE)
        optimizer.param_groups[0]["lr"] = rate
        chosen = torch.randint(0, len(images), (AUTOENCODER_BATCH,), generator=random).to(images.device)
        batch = shifted(images[chosen], SHIFT, "replicate", random)
        posterior = autoencoder.encode(batch).latent_dist
        decoded = autoencoder.decode(posterior.sample(generator=random)).sample
        reconstruction = F.mse_loss(decoded, batch) + ABSOLUTE_WEIGHT * F.l1_loss(decoded, batch)
        loss = reconstruction + DIVERGENCE_WEIGHT * posterior.kl().mean() / posterior.mean[0].numel()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(autoencoder.parameters(), 1.0)
        optimizer.step()
        loop.check(step, rate, reconstruction=float(reconstruction.detach()), loss=float(loss.detach()))
    autoencoder.eval()
    autoencoder.register_to_config(scaling_factor=1 / float(latent_means(autoencoder, images).std()))


@torch.no_grad()
def latent_means(autoencoder: AutoencoderKL, images: Tensor) -> Tensor:
    """Means of the latent posterior, unscaled, float32 [N,4,h,w]."""
    return torch.cat([autoencoder.encode(batch).latent_dist.mean for batch in images.split(256)])


def fit_denoiser(
    pipeline: StableDiffusionPipeline,
    images: Tensor,
    prompt_index: Tensor,
    prompts: list[str],
    settings: StableDiffusionFit,
    dtype: torch.dtype,
    resume: ResumeFile,
) -> None:
    """Fits U-Net and text encoder on the latents of images [N,3,H,W]; image i shows `prompts[prompt_index[i]]`.

    The v-prediction objective (arXiv 2202.00512), a share of the prompts left out; both networks end averaged.
    """
    device = images.device
    latents, described = cached_latents(pipeline.vae, images, prompt_index, settings.seed)
    ids = token_ids(pipeline, [*prompts, ""]).to(device)
    networks = nn.ModuleDict({"unet": pipeline.unet, "text_encoder": pipeline.text_encoder})
    pipeline.unet.set_attn_processor(AttnProcessor())
    optimizer = torch.optim.AdamW(networks.parameters(), settings.learning_rate, betas=(0.9, 0.99), weight_decay=1e-3)
    average = MovingAverage(networks, AVERAGE_DECAY)
    total, warmup = settings.denoiser_steps, min(50, settings.denoiser_steps)
    noising = DDPMScheduler(**NOISE_SCHEDULE, prediction_type="v_prediction")
    loop = Iteration("denoiser", total, resume, {"networks": networks, "optimizer": optimizer, "average": average})
    networks.train()
    for step in loop:
        random = generator(settings.seed, "denoiser", step)
        rate = settings.learning_rate * warmed_cosine(step, total, warmup, last=FINAL_SHARE)
        optimizer.param_groups[0]["lr"] = rate
        chosen = torch.randint(0, len(latents), (settings.batch_size,), generator=random).to(device)
        clean = latents[chosen]
        noise = torch.randn(clean.shape, generator=random).to(device)
        time = torch.randint(0, noising.config.num_train_timesteps, (len(clean),), generator=random).to(device)
        dropped = (torch.rand(len(clean), generator=random) < PROMPT_DROPOUT).to(device)
        prompt = torch.where(dropped, len(prompts), described[chosen])
        with autocast(dtype, device):
            states = pipeline.text_encoder(ids).last_hidden_state[prompt]
            predicted = pipeline.unet(noising.add_noise(clean, noise, time), time, states).sample
        loss = F.mse_loss(predicted.float(), noising.get_velocity(clean, noise, time))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(networks.parameters(), 1.0)
        optimizer.step()
        average.update(networks, step)
        loop.check(step, rate, loss=float(loss.detach()))
    average.copy_to(networks)
    networks.eval()


def cached_latents(
    autoencoder: AutoencoderKL, images: Tensor, prompt_index: Tensor, seed: int
) -> tuple[Tensor, Tensor]:
    """Scaled latents of the images and of shifted copies, with the prompt of each."""
    views = [images]
    for copy in range(SHIFTED_COPIES):
        views.append(shifted(images, SHIFT, "replicate", generator(seed, "latents", copy)))
    latents = torch.cat([latent_means(autoencoder, view) for view in views])
    return latents * autoencoder.config.scaling_factor, prompt_index.repeat(len(views))
