"""Stable Diffusion as a folder: saved in diffusers' format, or described by where a pretrained one lies."""

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, StableDiffusionXLPipeline, UNet2DConditionModel
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection
from transformers.utils import logging as transformers_logging

from synthood.errors import SynthoodError
from synthood.generators.diffusion import weights
from synthood.generators.diffusion.settings import Pretrained
from synthood.generators.folder import DESCRIPTION, Description

diffusers_logging.disable_progress_bar()
diffusers_logging.set_verbosity_error()
transformers_logging.disable_progress_bar()

PIPELINES = {
    "StableDiffusionPipeline": StableDiffusionPipeline,
    "LatentConsistencyModelPipeline": StableDiffusionPipeline,
    "StableDiffusionXLPipeline": StableDiffusionXLPipeline,
}
MODELS = {
    "unet": UNet2DConditionModel,
    "vae": AutoencoderKL,
    "text_encoder": CLIPTextModel,
    "text_encoder_2": CLIPTextModelWithProjection,
}
LORA, TOKENS = "pytorch_lora_weights.safetensors", "tokens.safetensors"
"""Files of what a pretrained checkpoint has learned here."""
READING_ERRORS = (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError)


def save(pipeline: StableDiffusionPipeline, folder: Path) -> None:
    """Writes diffusers' folder format."""
    pipeline.save_pretrained(folder, safe_serialization=True)


def load(folder: Path) -> StableDiffusionPipeline:
    """The pipeline of a generator's folder; a pretrained one from where it lies, if its files are those recorded."""
    source = Description.peek(folder).source if (folder / DESCRIPTION).is_file() else {}
    if not source:
        return assembled(folder)
    settings = Pretrained.model_validate(source["pretrained"])
    place = weights.located(settings)
    weights.check_digests(place, source["files"])
    pipeline = assembled(place, settings.variant)
    if settings.lora:
        file = weights.lora_file(settings.lora)
        weights.check_digests(file.parent, source["lora_files"])
        add_lora(pipeline, file, settings.lora.scale)
    if (folder / LORA).is_file():
        add_lora(pipeline, folder / LORA)
    if (folder / TOKENS).is_file():
        add_tokens(pipeline, load_file(folder / TOKENS)["embeddings"])
    return pipeline


def assembled(folder: Path, variant: str | None = None) -> StableDiffusionPipeline:
    """A pipeline read from disk alone and from safetensors alone, every weight of every network in its place."""
    weights.checkpoint_files(folder, variant)
    try:
        index = json.loads((folder / weights.INDEX).read_text())
        name = index["_class_name"]
        if name not in PIPELINES:
            raise SynthoodError(f"{folder}: a {name}; expected one of {', '.join(PIPELINES)}")
        parts = {part: network(folder, part, variant) for part in MODELS if index.get(part, [None])[0]}
        if PIPELINES[name] is StableDiffusionPipeline:
            parts |= {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
        pipeline = PIPELINES[name].from_pretrained(os.fspath(folder), local_files_only=True, **parts)
    except READING_ERRORS as error:
        raise SynthoodError(f"{folder}: not a readable Stable Diffusion folder ({_first_line(error)})") from error
    inputs, made = pipeline.unet.config.in_channels, pipeline.vae.config.latent_channels
    if inputs != made:
        raise SynthoodError(
            f"{folder}: its U-Net takes {inputs} channels, its autoencoder makes {made}; "
            f"a checkpoint for inpainting or upscaling makes no images from prompts"
        )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def network(folder: Path, part: str, variant: str | None) -> Any:
    """One network in float32; raises SynthoodError where the file lacks weights, which would stay random."""
    model = MODELS[part]
    told = {"dtype": torch.float32} if issubclass(model, CLIPTextModel | CLIPTextModelWithProjection) else {}
    found, report = model.from_pretrained(
        os.fspath(folder / part),
        variant=variant,
        use_safetensors=True,
        local_files_only=True,
        output_loading_info=True,
        **told,
    )
    missing = [key for key in report["missing_keys"] if not key.endswith("position_ids")]
    if missing:
        raise SynthoodError(f"{folder / part}: its weights lack {len(missing)} tensors, such as {sorted(missing)[0]}")
    return found.float().eval()


def add_lora(pipeline: StableDiffusionPipeline, file: Path, scale: float = 1.0) -> None:
    """Adds low-rank weights to the networks' own."""
    need_peft()
    try:
        pipeline.load_lora_weights(os.fspath(file.parent), weight_name=file.name, local_files_only=True)
        if not pipeline.get_list_adapters():
            raise ValueError("none of its keys belongs to a network of the checkpoint")
        pipeline.fuse_lora(lora_scale=scale)
        pipeline.unload_lora_weights()
    except READING_ERRORS as error:
        raise SynthoodError(f"{file}: not a LoRA of this checkpoint ({_first_line(error)})") from error


def need_peft() -> None:
    if importlib.util.find_spec("peft") is None:
        raise SynthoodError("LoRA needs peft; install synthood with the extra [lora]")


def class_tokens(count: int) -> list[str]:
    """Names of the tokens that stand for the classes once they are learned."""
    return [f"<class-{number}>" for number in range(count)]


def save_tokens(embeddings: Tensor, folder: Path) -> None:
    """Writes learned tokens' embeddings float32 [C,D]."""
    save_file({"embeddings": embeddings.detach().float().cpu().contiguous()}, folder / TOKENS)


def add_tokens(pipeline: StableDiffusionPipeline, embeddings: Tensor) -> None:
    """A new token for each row of `embeddings` [C,D]."""
    pipeline.tokenizer.add_tokens(class_tokens(len(embeddings)))
    pipeline.text_encoder.resize_token_embeddings(len(pipeline.tokenizer), mean_resizing=False)
    table = pipeline.text_encoder.get_input_embeddings().weight
    table.data[-len(embeddings) :] = embeddings.to(table)


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0]
