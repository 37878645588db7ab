"""Stage `embed`: unit embeddings of the ID training images, and the vectors of the class words."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from synthood.common import stage
from synthood.common.command import Output
from synthood.common.devices import device_for, set_threads
from synthood.common.encoded import EncodedImages
from synthood.common.images import open_images
from synthood.common.tensors import write_tensors
from synthood.errors import SynthoodError
from synthood.outliers.encoder import Encoder
from synthood.outliers.encoder_settings import EmbedSettings
from synthood.outliers.encoder_settings import Encoder as EncoderKind
from synthood.outliers.image_encoders import Features, features_of
from synthood.outliers.spaces import EmbeddingSpace
from synthood.training.networks.model import EVALUATION_BATCH

READY_MADE_BATCH = 64


@dataclass(frozen=True)
class Encoding:
    """An encoder with the vectors float32 [C,E] of the class words, its space, and how many images it takes at once."""

    features: Features
    anchors: Tensor
    space: EmbeddingSpace
    classes: list[str]
    at_once: int


def fitted(path: Path, device: torch.device) -> Encoding:
    """The text-aligned encoder that fit_encoder wrote."""
    encoder = Encoder.load(path)
    encoder.module.to(device)
    anchors = encoder.module.get_buffer("anchors").cpu()
    return Encoding(encoder.features, anchors, encoder.space, encoder.classes, EVALUATION_BATCH)


def ready_made(
    settings: EncoderKind | None, generator: Path | None, model: Path | None, device: torch.device
) -> Encoding:
    """An encoder from elsewhere; the words are those of the generator, whose widths must agree."""
    # A fitted encoder brings the words' vectors, and does without the libraries of diffusion models.
    from synthood.generators.diffusion import pipelines
    from synthood.generators.folder import Description
    from synthood.outliers.class_words import anchors_of, text_encoder_digest

    if settings is None or generator is None:
        raise SynthoodError("embed: neither --encoder nor --settings with an encoder and --generator; give one of them")
    description = Description.read(generator)
    pipeline = pipelines.load(generator)
    anchors = anchors_of(pipeline, description.class_words, settings.anchors)
    space = EmbeddingSpace(settings.kind, settings.anchors, text_encoder_digest(pipeline))
    features = features_of(settings, model, device)
    return Encoding(features, anchors, space, description.classes, READY_MADE_BATCH)


@torch.no_grad()
def embedded(encoding: Encoding, images: np.ndarray | EncodedImages) -> Tensor:
    """Unit embeddings float32 [N,D] of images uint8 [N,H,W,3].

    Raises SynthoodError where one is not finite or zero, or not as wide as the class words' vectors.
    """
    parts, width = [], encoding.anchors.shape[1]
    for first in range(0, len(images), encoding.at_once):
        found = encoding.features(torch.from_numpy(images[first : first + encoding.at_once])).cpu()
        if found.shape[1] != width:
            raise SynthoodError(
                f"the encoder's embeddings are {found.shape[1]} wide, the text encoder's tokens {width}; an outlier "
                f"can stand for a token only where both agree"
            )
        lengths = found.norm(dim=1)
        for bad in (~lengths.isfinite() | (lengths == 0)).nonzero().flatten().tolist():
            what = "zero" if lengths[bad] == 0 else "not finite"
            raise SynthoodError(f"the features of training image {first + bad} are {what}; the encoder is broken")
        parts.append(F.normalize(found))
    return torch.cat(parts)


@stage.Stage
def main(
    job: stage.Job,
    settings: EmbedSettings,
    threads: int,
    train: Annotated[Path, "ID training images"],
    output: Output,
    encoder: Annotated[Path | None, "what fit_encoder wrote"] = None,
    generator: Annotated[Path | None, "folder of a Stable Diffusion"] = None,
    model: Annotated[Path | None, "classifier whose features are taken"] = None,
    gpus: Annotated[int, "0: compute on the CPU"] = 0,
) -> None:
    set_threads(threads)
    images, labels = open_images(train)
    with device_for(gpus) as device:
        encoding = fitted(encoder, device) if encoder else ready_made(settings.encoder, generator, model, device)
        embeddings = embedded(encoding, images)
    anchors, space = encoding.anchors, encoding.space
    with job.writing(output) as path:
        arrays = {"embeddings": embeddings.numpy(), "labels": labels, "anchors": anchors.numpy()}
        write_tensors(path, arrays, {"classes": encoding.classes, "space": space.header()})
    right = ((embeddings @ F.normalize(anchors).T).argmax(1).numpy() == labels).mean()
    print(
        f"{len(labels)} embeddings by {space.encoder}, {right:.1%} nearest to their class word ({space.anchors}); "
        f"mean norm of a word {float(anchors.norm(dim=1).mean()):.3f}"
    )


if __name__ == "__main__":
    main()
