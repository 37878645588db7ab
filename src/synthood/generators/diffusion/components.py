"""Which classes a checkpoint's model_index.json may name: those that the pipelines here are made of, and no others."""

from pathlib import Path
from typing import Any

from diffusers import AutoencoderKL, StableDiffusionPipeline, StableDiffusionXLPipeline, UNet2DConditionModel
from diffusers.schedulers import KarrasDiffusionSchedulers
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from synthood.common.foreign_folders import read_json, refuse_code
from synthood.errors import SynthoodError

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
SCHEDULERS = {*(one.name for one in KarrasDiffusionSchedulers), "LCMScheduler", "TCDScheduler"}
TOKENIZERS = {"CLIPTokenizer", "CLIPTokenizerFast"}
UNUSED = {
    "safety_checker": ("stable_diffusion", {"StableDiffusionSafetyChecker"}),
    "feature_extractor": ("transformers", {"CLIPImageProcessor", "CLIPImageProcessorFast", "CLIPFeatureExtractor"}),
    "image_encoder": ("transformers", {"CLIPVisionModelWithProjection"}),
}
"""Parts that checkpoints have and that are left out."""
ALLOWED = {
    **{part: (model.__module__.partition(".")[0], {model.__name__}) for part, model in MODELS.items()},
    "scheduler": ("diffusers", SCHEDULERS),
    "tokenizer": ("transformers", TOKENIZERS),
    "tokenizer_2": ("transformers", TOKENIZERS),
    **UNUSED,
}
"""By part: the library, and its classes."""
NOTHING = (None, [None, None])


def read_index(file: Path) -> dict[str, Any]:
    """The content of model_index.json; raises SynthoodError where it or the folder asks for anything but known classes.

    Nothing of the folder is imported or loaded before.
    """
    refuse_code(file.parent)
    index = read_json(file)
    if not isinstance(index, dict):
        raise SynthoodError(f"{file}: not a pipeline's index; name a folder in diffusers' format")
    if (name := index.get("_class_name")) not in list(PIPELINES):
        raise SynthoodError(f"{file}: a {name!r}; expected one of {', '.join(PIPELINES)}")
    for part, named in index.items():
        if not isinstance(named, list | dict) or named in NOTHING:
            continue
        library, classes = ALLOWED.get(part, ("", set()))
        if not (isinstance(named, list) and len(named) == 2 and named[0] == library and named[1] in list(classes)):
            known = f"; {part} may be {library}'s {', '.join(sorted(classes))}" if classes else ""
            raise SynthoodError(f"{file}: {part!r} is a {named!r}, which is not loaded{known}")
    return index
