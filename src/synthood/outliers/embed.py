"""Stage `embed`: unit embeddings of the ID training images by the text-aligned encoder."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from synthood.common import stage
from synthood.common.devices import set_threads
from synthood.common.images import read_images
from synthood.common.tensors import write_tensors
from synthood.outliers.encoder import Encoder


def main(command_line: Sequence[str] | None = None) -> None:
    def work(job: stage.Job) -> None:
        set_threads(job.arguments.threads)
        encoder, train = Encoder.load(job.arguments.encoder), read_images(job.arguments.train)
        embeddings = encoder.embed(train.images)
        right = encoder.module.cosines(embeddings).argmax(1).numpy() == train.labels
        anchors = encoder.module.get_buffer("anchors").numpy()
        with job.writing(job.arguments.output[0]) as path:
            arrays = {"embeddings": embeddings.numpy(), "labels": train.labels, "anchors": anchors}
            write_tensors(path, arrays, {"classes": train.classes})
        norm = np.linalg.norm(anchors, axis=1).mean()
        print(
            f"{len(train)} embeddings, {right.mean():.1%} nearest to their class word; mean norm of a word {norm:.3f}"
        )

    parser = stage.parser(__doc__)
    parser.add_argument("--encoder", type=Path, required=True)
    parser.add_argument("--train", type=Path, required=True, help="ID training images")
    stage.run(parser, work, command_line)


if __name__ == "__main__":
    main()
