"""Stage `embed`: unit embeddings of the ID training images, and the vectors of the class words."""

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
from synthood.outliers.encoder_settings import EncoderSettings
from synthood.outliers.encoders.base import Encoding


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
    settings: EncoderSettings,
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
        encoding = settings.encoder.encoding(encoder or model, generator, device)
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
