"""Stable Diffusion as a folder: saved in diffusers' format, or described by where a pretrained one lies."""

import importlib.util
import os
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection
from transformers.utils import logging as transformers_logging

from synthood.common.finite import check_state
from synthood.errors import SynthoodError, first_line
from synthood.generators.diffusion import weights
from synthood.generators.diffusion.components import MODELS, PIPELINES, UNUSED, read_index
from synthood.generators.diffusion.settings import Pretrained
from synthood.generators.folder import DESCRIPTION, Description

diffusers_logging.disable_progress_bar()
diffusers_logging.set_verbosity_error()
transformers_logging.disable_progress_bar()

LORA, TOKENS = "pytorch_lora_weights.safetensors", "tokens.safetensors"
"""Files of what a pretrained checkpoint has learned here."""
BROKEN = "fetch the checkpoint again, or name another `variant`"
READING_ERRORS = (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError)


def save(pipeline: StableDiffusionPipeline, folder: Path) -> None:
    """Writes diffusers' folder format; raises SynthoodError where a weight is not finite."""
    for part in MODELS:
        if (network := getattr(pipeline, part, None)) is not None:
            check_state(network.state_dict(), part, "lower `fit.learning_rate`")
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
    index = read_index(folder / weights.INDEX)
    kind = PIPELINES[index["_class_name"]]
    try:
        parts = {part: network(folder, part, variant) for part in MODELS if index.get(part, [None])[0]}
        parts |= dict.fromkeys(UNUSED.keys() & index.keys())
        if kind is StableDiffusionPipeline:
            parts |= {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
        pipeline = kind.from_pretrained(os.fspath(folder), local_files_only=True, **parts)
    except READING_ERRORS as error:
        raise SynthoodError(f"{folder}: not a readable Stable Diffusion folder ({first_line(error)})") from error
    inputs, made = pipeline.unet.config.in_channels, pipeline.vae.config.latent_channels
    if inputs != made:
        raise SynthoodError(
            f"{folder}: its U-Net takes {inputs} channels, its autoencoder makes {made}; "
            f"a checkpoint for inpainting or upscaling makes no images from prompts"
        )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def network(folder: Path, part: str, variant: str | None) -> Any:
    """One network in float32; raises SynthoodError where the file lacks weights, which would stay random.

    Or where one is not finite.
    """
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
    found = found.float().eval()
    check_state(found.state_dict(), str(folder / part), BROKEN)
    return found


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
        raise SynthoodError(f"{file}: not a LoRA of this checkpoint ({first_line(error)})") from error
    for part in MODELS:
        if (network := getattr(pipeline, part, None)) is not None:
            check_state(network.state_dict(), f"{file}: added to the {part}", "fetch it again, or lower `lora.scale`")


def need_peft() -> None:
    if importlib.util.find_spec("peft") is None:
        raise SynthoodError("LoRA needs peft; install synthood with the extra [lora]")


def class_tokens(count: int) -> list[str]:
    """Names of the tokens that stand for the classes once they are learned."""
    return [f"<class-{number}>" for number in range(count)]


def save_tokens(embeddings: Tensor, folder: Path) -> None:
    """Writes learned tokens' embeddings float32 [C,D]; raises SynthoodError where one is not finite."""
    check_state({"embeddings": embeddings}, "the learned tokens", "lower `adapt.learning_rate`")
    save_file({"embeddings": embeddings.detach().float().cpu().contiguous()}, folder / TOKENS)


def add_tokens(pipeline: StableDiffusionPipeline, embeddings: Tensor) -> None:
    """A new token for each row of `embeddings` [C,D]."""
    pipeline.tokenizer.add_tokens(class_tokens(len(embeddings)))
    pipeline.text_encoder.resize_token_embeddings(len(pipeline.tokenizer), mean_resizing=False)
    table = pipeline.text_encoder.get_input_embeddings().weight
    table.data[-len(embeddings) :] = embeddings.to(table)
