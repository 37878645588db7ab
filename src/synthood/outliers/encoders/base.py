"""What all encoders share: their base class, what `embed` needs of one, and the preparation of pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Protocol

from pydantic import Field

from synthood.common.lazy import Tensor, torch
from synthood.errors import SynthoodError
from synthood.outliers.spaces import Anchors, EmbeddingSpace
from synthood.plugins import Plugin

if TYPE_CHECKING:
    from synthood.common.iterate import ResumeFile
    from synthood.training.feed import Labelled

READY_MADE_BATCH = 64


@dataclass(frozen=True)
class Encoding:
    """An encoder with the vectors float32 [C,D] of the class words, its space, and how many images it takes at once.

    `features` turns images uint8 [N,H,W,3] into float32 [N,D].
    """

    features: Callable[[Tensor], Tensor]
    anchors: Tensor
    space: EmbeddingSpace
    classes: list[str]
    at_once: int


class Fitted(Protocol):
    """What a fit results in."""

    def save(self, path: Path) -> None: ...


class ImageEncoder(Plugin):
    """What every encoder has: a vector for each class word, whose length outliers take."""

    fitted: ClassVar[bool] = False
    """Whether `fit_encoder` fits it to the class words; then it has `fit` and `encoding`, else `features`."""

    kind: str
    anchors: Annotated[
        Anchors,
        Field(
            description="token: the word's row of the text encoder's input table, the mean of several; contextual: the "
            "mean over positions of its output, as OAL's code does on CIFAR-10"
        ),
    ] = "token"

    @property
    def outside(self) -> str | None:
        """The file or folder of weights that is not made here."""
        return None

    @property
    def classifier(self) -> tuple[str, int] | None:
        """Recipe and seed of the classifier that it is taken from."""
        return None

    def fit(
        self, images: Labelled, anchors: Tensor, text_encoder: str, resume: ResumeFile, device: torch.device
    ) -> Fitted:
        """Fitted on images and the vectors [C,D] of their class words, which are those of a text encoder's digest."""
        raise NotImplementedError

    def features(self, model: Path | None, device: torch.device) -> Callable[[Tensor], Tensor]:
        """What turns images into features; `model` is the file of the classifier, if it is taken from one."""
        raise NotImplementedError

    def encoding(self, file: Path | None, generator: Path | None, device: torch.device) -> Encoding:
        """The encoder with the words of the generator, whose widths must agree.

        `file` is what `fit_encoder` wrote, or the classifier.
        """
        from synthood.generators.diffusion import pipelines
        from synthood.generators.folder import Description
        from synthood.outliers.class_words import anchors_of, text_encoder_digest

        if generator is None:
            raise SynthoodError(f"embed: --generator is missing; an encoder of kind {self.kind} needs its class words")
        description = Description.read(generator)
        pipeline = pipelines.load(generator)
        anchors = anchors_of(pipeline, description.class_words, self.anchors)
        space = EmbeddingSpace(self.kind, self.anchors, text_encoder_digest(pipeline))
        return Encoding(self.features(file, device), anchors, space, description.classes, READY_MADE_BATCH)


def resized_pixels(images: Tensor, size: tuple[int, int], interpolation: str) -> Tensor:
    """Images uint8 [N,H,W,3] as float32 [N,3,*size] in [0,1]."""
    from synthood.common.pixels import resized

    mode = interpolation if interpolation in ("bilinear", "bicubic") else "bicubic"
    return resized(images.permute(0, 3, 1, 2).float() / 255, *size, mode).clamp(0, 1)


def normalised(pixels: Tensor, mean: list[float], deviation: list[float]) -> Tensor:
    """Pixels float32 [N,3,H,W] less the channels' mean, by their deviation."""
    shape = (1, 3, 1, 1)
    return (pixels - pixels.new_tensor(mean).view(shape)) / pixels.new_tensor(deviation).view(shape)
