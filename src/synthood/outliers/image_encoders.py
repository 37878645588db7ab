"""Encoders that are not fitted to the class words: networks of timm, this configuration's classifiers, CLIP."""

import json
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from synthood.common.foreign_folders import refuse_code
from synthood.common.pixels import resized
from synthood.common.states import read_state
from synthood.errors import SynthoodError, first_line
from synthood.outliers.encoder_settings import ClipEncoder, Encoder, RecipeEncoder, TimmEncoder
from synthood.training.networks import from_timm
from synthood.training.networks.checkpoint import check
from synthood.training.networks.model import Classifier

Features = Callable[[Tensor], Tensor]
"""Images uint8 [N,H,W,3] to features float32 [N,D]."""

CLIP_MEAN, CLIP_DEVIATION = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
"""Of the published CLIP's inputs (arXiv 2103.00020), where a folder does not say."""


def features_of(settings: Encoder, model: Path | None, device: torch.device) -> Features:
    """The encoder of a configuration; `model` is the classifier's file for `kind: recipe`."""
    if isinstance(settings, TimmEncoder):
        return of_timm(settings, device)
    if isinstance(settings, ClipEncoder):
        return of_clip(Path(settings.path), device)
    if isinstance(settings, RecipeEncoder) and model is not None:
        return of_classifier(model, device)
    raise ValueError(f"an encoder of kind {settings.kind} is fitted, or lacks its model")


def of_classifier(path: Path, device: torch.device) -> Features:
    """Penultimate features of a classifier that this pipeline wrote."""
    classifier = Classifier.load(path)
    network = classifier.network.to(device).eval()

    def features(images: Tensor) -> Tensor:
        inputs = classifier.normalised(images.to(device)).contiguous(memory_format=torch.channels_last)
        return network.features(inputs).float()

    return features


def of_timm(settings: TimmEncoder, device: torch.device) -> Features:
    """Pre-logits of a network of timm, whose inputs are resized and normalised as timm says of it.

    Raises SynthoodError where timm is missing, does not know the name, or the checkpoint does not fit.
    """
    what, own = f"encoder {settings.model}", settings.checkpoint is not None
    network = from_timm.built(settings.model, what, "encoder.checkpoint", pretrained=not own, num_classes=0)
    if settings.checkpoint is not None:
        head = network.pretrained_cfg.get("classifier") or ()
        heads = tuple(f"{name}." for name in ([head] if isinstance(head, str) else head))
        state = read_state(Path(settings.checkpoint))
        state = {key: value for key, value in state.items() if not key.startswith(heads)}
        check(state, network.state_dict(), settings.checkpoint)
        network.load_state_dict(state)
    given = from_timm.timm_library(what).data.resolve_model_data_config(network)
    network.to(device).eval()

    def features(images: Tensor) -> Tensor:
        inputs = fitted(images.to(device), given["input_size"][1:], given["interpolation"])
        out: Tensor = network(normalised(inputs, given["mean"], given["std"]))
        return out.float()

    return features


def of_clip(folder: Path, device: torch.device) -> Features:
    """CLIP's image tower and projection from a folder in the format of transformers, safetensors alone."""
    from transformers import CLIPModel

    if not (folder / "config.json").is_file():
        raise SynthoodError(f"{folder}: no config.json; encoder.path is a CLIP's folder in the format of transformers")
    refuse_code(folder)
    try:
        network, found = CLIPModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, json.JSONDecodeError) as error:
        raise SynthoodError(f"{folder}: not a readable CLIP ({first_line(error)})") from error
    # The library fills such weights with noise and goes on.
    wrong = sorted(str(key) for kind in ("missing_keys", "mismatched_keys") for key in found[kind])
    if wrong:
        raise SynthoodError(f"{folder}: not a whole CLIP (missing or of another shape: {wrong[0]})")
    network.to(device).eval()
    file = folder / "preprocessor_config.json"
    given = json.loads(file.read_text()) if file.is_file() else {}
    mean, deviation = given.get("image_mean", CLIP_MEAN), given.get("image_std", CLIP_DEVIATION)
    side = network.config.vision_config.image_size

    def features(images: Tensor) -> Tensor:
        inputs = normalised(fitted(images.to(device), (side, side), "bicubic"), mean, deviation)
        out: Tensor = network.visual_projection(network.vision_model(pixel_values=inputs).pooler_output)
        return out.float()

    return features


def fitted(images: Tensor, size: tuple[int, int], interpolation: str) -> Tensor:
    """Images uint8 [N,H,W,3] as float32 [N,3,*size] in [0,1]."""
    mode = interpolation if interpolation in ("bilinear", "bicubic") else "bicubic"
    return resized(images.permute(0, 3, 1, 2).float() / 255, *size, mode).clamp(0, 1)


def normalised(pixels: Tensor, mean: list[float], deviation: list[float]) -> Tensor:
    """Pixels float32 [N,3,H,W] less the channels' mean, by their deviation."""
    shape = (1, 3, 1, 1)
    return (pixels - pixels.new_tensor(mean).view(shape)) / pixels.new_tensor(deviation).view(shape)
