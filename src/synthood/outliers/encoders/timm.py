"""A network of timm as the encoder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from synthood.common.lazy import Tensor, torch
from synthood.outliers.encoders.base import ImageEncoder, normalised, resized_pixels


class TimmEncoder(ImageEncoder):
    """Pre-logits of a network of timm; OAL's code takes ViT-B/16's."""

    kind: Literal["timm"] = "timm"
    model: Annotated[str, Field(min_length=1, description="timm's name of it")]
    checkpoint: Annotated[
        str | None, Field(min_length=1, description="file of its weights; without, those that timm downloads")
    ] = None

    @property
    def outside(self) -> str | None:
        return self.checkpoint

    def features(self, model: Path | None, device: torch.device) -> Callable[[Tensor], Tensor]:
        """Pre-logits of images that are resized and normalised as timm says of the network.

        Raises SynthoodError where timm is missing, does not know the name, or the checkpoint does not fit.
        """
        from synthood.common.states import read_state
        from synthood.training.networks.architectures import from_timm
        from synthood.training.networks.checkpoint import check

        what, own = f"encoder {self.model}", self.checkpoint is not None
        network = from_timm.built(self.model, what, "encoder.checkpoint", pretrained=not own, num_classes=0)
        if self.checkpoint is not None:
            head = network.pretrained_cfg.get("classifier") or ()
            heads = tuple(f"{name}." for name in ([head] if isinstance(head, str) else head))
            state = read_state(Path(self.checkpoint))
            state = {key: value for key, value in state.items() if not key.startswith(heads)}
            check(state, network.state_dict(), self.checkpoint)
            network.load_state_dict(state)
        given = from_timm.timm_library(what).data.resolve_model_data_config(network)
        network.to(device).eval()

        def features(images: Tensor) -> Tensor:
            inputs = resized_pixels(images.to(device), given["input_size"][1:], given["interpolation"])
            out: Tensor = network(normalised(inputs, given["mean"], given["std"]))
            return out.float()

        return features
