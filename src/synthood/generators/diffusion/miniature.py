"""A Stable Diffusion in miniature, not yet fitted: small parts, and a tokenizer over words."""

import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from synthood.common.seeds import derived_seed
from synthood.errors import SynthoodError
from synthood.generators.diffusion.settings import StableDiffusionFit

LATENT_CHANNELS = 4
TEXT_LAYERS, TEXT_HEADS = 2, 4
GROUPS = 8
INITIAL_EMBEDDING_DEVIATION = 0.1
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
    if image_size % 2**depth:
        raise SynthoodError(
            f"images of {image_size} px: a miniature with {depth} autoencoder_channels needs a side that is a multiple "
            f"of {2**depth}; set `size` of the images, or take fewer channels"
        )
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
