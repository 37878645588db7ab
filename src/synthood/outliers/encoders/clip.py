"""CLIP's image tower as the encoder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from synthood.common.lazy import Tensor, torch
from synthood.errors import SynthoodError, first_line
from synthood.outliers.encoders.base import ImageEncoder, normalised, resized_pixels

CLIP_MEAN, CLIP_DEVIATION = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
"""Of the published CLIP's inputs, where a folder does not say."""


class ClipEncoder(ImageEncoder):
    """CLIP's image tower with its projection."""

    paper = "arXiv 2103.00020"

    kind: Literal["clip"] = "clip"
    path: Annotated[str, Field(min_length=1, description="folder in the format of transformers")]

    @property
    def outside(self) -> str | None:
        return self.path

    def features(self, model: Path | None, device: torch.device) -> Callable[[Tensor], Tensor]:
        folder = Path(self.path)
        network = loaded(folder).to(device).eval()
        file = folder / "preprocessor_config.json"
        given = json.loads(file.read_text()) if file.is_file() else {}
        mean, deviation = given.get("image_mean", CLIP_MEAN), given.get("image_std", CLIP_DEVIATION)
        side = network.config.vision_config.image_size

        def features(images: Tensor) -> Tensor:
            inputs = normalised(resized_pixels(images.to(device), (side, side), "bicubic"), mean, deviation)
            out: Tensor = network.visual_projection(network.vision_model(pixel_values=inputs).pooler_output)
            return out.float()

        return features


def loaded(folder: Path) -> Any:
    """The CLIP in a folder in the format of transformers, safetensors alone; raises SynthoodError without one."""
    from transformers import CLIPModel

    from synthood.common.foreign_folders import refuse_code

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
    return network
