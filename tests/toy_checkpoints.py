"""Tiny Stable Diffusion checkpoints, untrained but genuine, for the library's own save_pretrained."""

import torch
from diffusers import (
    AutoencoderKL,
    EulerAncestralDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from synthood.generators.diffusion.miniature import NOISE_SCHEDULE, word_tokenizer

WORDS = ["a", "photo", "of", "the", "cat", "dog", "ice", "cream", "blurry", "sketch", "animal", "that", "barks"]
WIDTH, LENGTH, IMAGE = 16, 10, 16


def tokenizer() -> CLIPTokenizer:
    made = word_tokenizer(WORDS)
    made.model_max_length = LENGTH
    return made


def text_config(vocabulary: CLIPTokenizer) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(vocabulary),
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=3,
        num_attention_heads=2,
        max_position_embeddings=LENGTH,
        projection_dim=WIDTH,
        bos_token_id=vocabulary.bos_token_id,
        eos_token_id=vocabulary.eos_token_id,
        pad_token_id=vocabulary.pad_token_id,
    )


def autoencoder() -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        block_out_channels=[8, 8],
        latent_channels=4,
        norm_num_groups=4,
        sample_size=IMAGE,
        scaling_factor=0.5,
    )


def denoiser(cross: int = WIDTH, **more: object) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=IMAGE // 2,
        block_out_channels=[8, 16],
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=cross,
        attention_head_dim=4,
        norm_num_groups=4,
        **more,
    )


def stable_diffusion_1(seed: int = 0, **unet: object) -> StableDiffusionPipeline:
    """As Stable Diffusion 1.x: PNDM over 1000 steps, noise predicted."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vocabulary = tokenizer()
        return StableDiffusionPipeline(
            vae=autoencoder(),
            text_encoder=CLIPTextModel(text_config(vocabulary)).eval(),
            tokenizer=vocabulary,
            unet=denoiser(**unet),
            scheduler=PNDMScheduler(**NOISE_SCHEDULE, skip_prk_steps=True, steps_offset=1),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )


def stable_diffusion_xl() -> StableDiffusionXLPipeline:
    """As Stable Diffusion XL Turbo: two text encoders, trailing time steps, empty prompts as zeros."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        vocabulary = tokenizer()
        extra = {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 4,
            "projection_class_embeddings_input_dim": 6 * 4 + WIDTH,
        }
        return StableDiffusionXLPipeline(
            vae=autoencoder(),
            text_encoder=CLIPTextModel(text_config(vocabulary)).eval(),
            text_encoder_2=CLIPTextModelWithProjection(text_config(vocabulary)).eval(),
            tokenizer=vocabulary,
            tokenizer_2=tokenizer(),
            unet=denoiser(2 * WIDTH, **extra),
            scheduler=EulerAncestralDiscreteScheduler(**NOISE_SCHEDULE, timestep_spacing="trailing"),
            add_watermarker=False,
        )
