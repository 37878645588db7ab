"""The encoder that is fitted to the class words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from synthood.common.lazy import Tensor, torch
from synthood.common.settings import Count, Positive, Seed
from synthood.errors import SynthoodError
from synthood.outliers.encoders.base import Encoding, Fitted, ImageEncoder
from synthood.training.augmentation.settings import Augmentation
from synthood.training.networks.settings import AnyNetwork

if TYPE_CHECKING:
    from synthood.common.iterate import ResumeFile
    from synthood.training.feed import Labelled


class TextAlignedEncoder(ImageEncoder):
    """The text-aligned encoder: images to the space of the class words' embeddings."""

    paper = "arXiv 2309.13415"
    is_default = True
    fitted = True

    kind: Literal["text-aligned"] = "text-aligned"
    network: Annotated[AnyNetwork, Field(description="architecture of the image encoder")]
    epochs: Annotated[Count, Field(description="passes over the training images")]
    batch_size: Annotated[int, Field(ge=2, description="images of a step")]
    learning_rate: Annotated[Positive, Field(description="the highest, of SGD on a cosine schedule")] = 0.1
    temperature: Annotated[Positive, Field(description="of the cosines to the class words")] = 0.1
    augmentation: Augmentation = Augmentation()
    seed: Seed = 0

    @model_validator(mode="after")
    def _nothing_is_frozen(self) -> Self:
        if getattr(self.network, "freeze", "none") != "none":
            raise ValueError("network.freeze is of recipes; the encoder is trained whole, so take it away")
        return self

    def fit(
        self, images: Labelled, anchors: Tensor, text_encoder: str, resume: ResumeFile, device: torch.device
    ) -> Fitted:
        from synthood.outliers.encoder import fit_encoder

        return fit_encoder(images, anchors, self, resume, text_encoder, device)

    def encoding(self, file: Path | None, generator: Path | None, device: torch.device) -> Encoding:
        """With the words that it was fitted to, and so without the libraries of diffusion models."""
        from synthood.outliers.encoder import Encoder
        from synthood.training.networks.model import EVALUATION_BATCH

        if file is None:
            raise SynthoodError("embed: --encoder is missing; give the file that fit_encoder wrote")
        encoder = Encoder.load(file)
        encoder.module.to(device)
        anchors = encoder.module.get_buffer("anchors").cpu()
        return Encoding(encoder.features, anchors, encoder.space, encoder.classes, EVALUATION_BATCH)
