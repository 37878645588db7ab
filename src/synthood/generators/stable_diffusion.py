"""A miniature Stable Diffusion: diffusers' pipeline with small parts, a tokenizer over words, sampling."""

import json
import os
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.utils import logging as diffusers_logging
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer
from transformers.utils import logging as transformers_logging

from synthood.common.seeds import derived_seed
from synthood.errors import SynthoodError
from synthood.generators.diffusion_settings import StableDiffusionFit, StableDiffusionSample

LATENT_CHANNELS = 4
TEXT_LAYERS, TEXT_HEADS = 2, 4
GROUPS = 8
INITIAL_EMBEDDING_DEVIATION = 0.1
DECODED_AT_ONCE = 256
diffusers_logging.disable_progress_bar()
transformers_logging.disable_progress_bar()

START, END, END_OF_WORD = "<|startoftext|>", "<|endoftext|>", "</w>"
NOISE_SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def word_tokenizer(words: list[str]) -> CLIPTokenizer:
    """A CLIP tokenizer to which each of `words` is one token: its letters, and a chain of merges per word."""
    tokens = [START, END]
    merges: list[tuple[str, str]] = []
    for word in words:
        left, *letters = [*word[:-1], word[-1] + END_OF_WORD]
        tokens += [left, *letters]
        for letter in letters:
            merges.append((left, letter))
            left += letter
            tokens.append(left)
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    tokenizer = CLIPTokenizer(vocabulary, list(dict.fromkeys(merges)), bos_token=START, eos_token=END, pad_token=END)
    for word in words:
        if len(pieces := tokenizer.tokenize(word)) != 1:
            raise SynthoodError(f"the word {word!r} splits into {pieces}; write it in lower case or take another word")
    return tokenizer


def build(prompts: list[str], image_size: int, settings: StableDiffusionFit) -> StableDiffusionPipeline:
    """A pipeline whose parts are initialised from the seed; its text encoder knows the words of `prompts`."""
    words = list(dict.fromkeys(word for prompt in prompts for word in prompt.split()))
    tokenizer = word_tokenizer(words)
    tokenizer.model_max_length = max(len(prompt.split()) for prompt in prompts) + 2
    channels, depth = settings.autoencoder_channels, len(settings.autoencoder_channels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(settings.seed, "stable-diffusion"))
        autoencoder = AutoencoderKL(
            down_block_types=["DownEncoderBlock2D"] * depth,
            up_block_types=["UpDecoderBlock2D"] * depth,
            block_out_channels=channels,
            layers_per_block=1,
            latent_channels=LATENT_CHANNELS,
            norm_num_groups=GROUPS,
            sample_size=image_size,
        )
        denoiser = UNet2DConditionModel(
            sample_size=image_size // 2 ** (depth - 1),
            in_channels=LATENT_CHANNELS,
            out_channels=LATENT_CHANNELS,
            block_out_channels=settings.denoiser_channels,
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            cross_attention_dim=settings.text_width,
            attention_head_dim=4,
            norm_num_groups=GROUPS,
        )
        text_encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=settings.text_width,
                intermediate_size=2 * settings.text_width,
                num_hidden_layers=TEXT_LAYERS,
                num_attention_heads=TEXT_HEADS,
                max_position_embeddings=tokenizer.model_max_length,
                projection_dim=settings.text_width,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        )
        torch.nn.init.normal_(text_encoder.get_input_embeddings().weight, std=INITIAL_EMBEDDING_DEVIATION)
    scheduler = DPMSolverMultistepScheduler(**NOISE_SCHEDULE, prediction_type="v_prediction", steps_offset=1)
    pipeline = StableDiffusionPipeline(
        vae=autoencoder,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=denoiser,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def token_ids(pipeline: StableDiffusionPipeline, prompts: list[str]) -> Tensor:
    """Token ids int64 [N,L] of prompts, padded to the tokenizer's length."""
    length = pipeline.tokenizer.model_max_length
    ids: Tensor = pipeline.tokenizer(prompts, padding="max_length", max_length=length, return_tensors="pt").input_ids
    return ids


@torch.no_grad()
def sample(
    pipeline: StableDiffusionPipeline, prompts: list[str], seeds: list[int], settings: StableDiffusionSample
) -> Tensor:
    """Images uint8 [N,H,W,3], one per prompt and seed, sampled by DPM-Solver++ in batches of a fixed size.

    The last batch is filled up with the first prompts, since the batch size shows in an image's last bits.
    """
    made = []
    size = settings.batch_size
    wanted = len(prompts)
    missing = -wanted % size
    filled = [*range(wanted), *(index % wanted for index in range(missing))]
    for first in range(0, len(filled), size):
        batch = filled[first : first + size]
        random = [torch.Generator().manual_seed(seeds[index]) for index in batch]
        images = pipeline(
            [prompts[index] for index in batch],
            num_inference_steps=settings.steps,
            guidance_scale=settings.guidance,
            generator=random,
            output_type="pt",
        ).images
        made.append((images.float().clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu())
        print(f"sampled {min(first + size, wanted)}/{wanted} images", flush=True)
    return torch.cat(made)[:wanted]


def save(pipeline: StableDiffusionPipeline, folder: Path) -> None:
    """Writes diffusers' folder format."""
    pipeline.save_pretrained(folder, safe_serialization=True)


def load(folder: Path) -> StableDiffusionPipeline:
    """Reads diffusers' folder format, from disk alone."""
    try:
        pipeline = StableDiffusionPipeline.from_pretrained(os.fspath(folder), local_files_only=True)
    except (OSError, ValueError, json.JSONDecodeError) as error:
        raise SynthoodError(f"{folder}: not a readable Stable Diffusion folder ({error})") from error
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def word_embeddings(pipeline: StableDiffusionPipeline, words: list[str]) -> Tensor:
    """Rows float32 [C,D] of the text encoder's token table for words that are one token each."""
    ids = pipeline.tokenizer(words, add_special_tokens=False).input_ids
    for word, tokens in zip(words, ids, strict=True):
        if len(tokens) != 1:
            raise SynthoodError(f"the class word {word!r} is {len(tokens)} tokens; outliers need words of one token")
    table = pipeline.text_encoder.get_input_embeddings().weight
    return table.detach().cpu()[torch.tensor(ids).flatten()].float().clone()


@torch.no_grad()
def encoded_with(pipeline: StableDiffusionPipeline, prompt: str, word: str, embeddings: Tensor) -> Tensor:
    """The prompt's encoding [N,L,W], once for each of `embeddings` [N,D] in the place of the word's own."""
    ids = token_ids(pipeline, [prompt.format(word=word)])[0].to(pipeline.device)
    (token,) = pipeline.tokenizer(word, add_special_tokens=False).input_ids
    places = (ids == token).nonzero().flatten()
    if len(places) == 0:
        raise SynthoodError(f"the class word {word!r} does not stand in the prompt {prompt.format(word=word)!r}")
    if embeddings.shape[1] != pipeline.text_encoder.config.hidden_size:
        raise SynthoodError(
            f"embeddings of width {embeddings.shape[1]} cannot stand for tokens of the text encoder, "
            f"which are {pipeline.text_encoder.config.hidden_size} wide"
        )

    def replace(module: torch.nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        replaced = output.clone()
        replaced[:, places] = embeddings[:, None].to(output)
        return replaced

    hook = pipeline.text_encoder.get_input_embeddings().register_forward_hook(replace)
    try:
        encoded: Tensor = pipeline.text_encoder(ids.expand(len(embeddings), -1)).last_hidden_state
    finally:
        hook.remove()
    return encoded


@torch.no_grad()
def sample_latents(
    pipeline: StableDiffusionPipeline, encoded: Tensor, seeds: list[int], settings: StableDiffusionSample
) -> Tensor:
    """Scaled latents z_0 float32 [N,4,h,w] of encoded prompts [N,L,W], in batches of a fixed size."""
    count, size = len(encoded), settings.batch_size
    filled = [*range(count), *(index % count for index in range(-count % size))]
    empty = pipeline.text_encoder(token_ids(pipeline, [""]).to(pipeline.device)).last_hidden_state
    made = []
    for first in range(0, len(filled), size):
        batch = filled[first : first + size]
        latents = pipeline(
            prompt_embeds=encoded[batch],
            negative_prompt_embeds=empty.expand(size, -1, -1),
            num_inference_steps=settings.steps,
            guidance_scale=settings.guidance,
            generator=[torch.Generator().manual_seed(seeds[index]) for index in batch],
            output_type="latent",
        ).images
        made.append(latents.float().cpu())
        print(f"sampled {min(first + size, count)}/{count} latents", flush=True)
    return torch.cat(made)[:count]


@torch.no_grad()
def decoded(pipeline: StableDiffusionPipeline, latents: Tensor) -> Tensor:
    """Images uint8 [N,H,W,3] of scaled latents [N,4,h,w]."""
    scale = pipeline.vae.config.scaling_factor
    parts = latents.to(pipeline.device).split(DECODED_AT_ONCE)
    images = torch.cat([pipeline.vae.decode(part / scale).sample for part in parts])
    return ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).cpu()


@torch.no_grad()
def image_latents(pipeline: StableDiffusionPipeline, images: np.ndarray) -> Tensor:
    """Scaled latents float32 [N,4,h,w] of images uint8 [N,H,W,3]: the means of the autoencoder's posterior."""
    parts = torch.from_numpy(images).split(DECODED_AT_ONCE)
    points = (part.to(pipeline.device).permute(0, 3, 1, 2).float() / 127.5 - 1 for part in parts)
    means = torch.cat([pipeline.vae.encode(part).latent_dist.mean for part in points])
    return (means * pipeline.vae.config.scaling_factor).float().cpu()
