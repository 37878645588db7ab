"""Stable Diffusion as a folder in diffusers' format."""

import json
import os
from pathlib import Path

from diffusers import StableDiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from synthood.errors import SynthoodError

diffusers_logging.disable_progress_bar()
transformers_logging.disable_progress_bar()


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
