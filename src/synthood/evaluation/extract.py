"""Stage `extract`: logits and penultimate features of every part, from one forward pass."""

from collections.abc import Sequence
from pathlib import Path

import torch

from synthood.common import stage
from synthood.common.devices import device_for, set_threads
from synthood.common.images import open_images
from synthood.evaluation.features import Features, write_head, write_part
from synthood.training.model import Classifier, logits_and_features


def main(command_line: Sequence[str] | None = None) -> None:
    def work(job: stage.Job) -> None:
        arguments = job.arguments
        set_threads(arguments.threads)
        classifier = Classifier.load(arguments.model)
        with device_for(arguments.gpus) as device, job.writing(arguments.output[0]) as folder:
            classifier.network.to(device)
            folder.mkdir()
            head = classifier.network.head
            write_head(folder, head.weight.detach().cpu(), head.bias.detach().cpu())
            for path in arguments.images:
                images, labels = open_images(path)
                logits, features = logits_and_features(classifier, images, device)
                write_part(folder, path.stem, Features(logits, features, torch.from_numpy(labels)))
                print(f"{path.stem}: {len(images)} images", flush=True)

    parser = stage.with_gpus(stage.parser(__doc__))
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--images", type=Path, nargs="+", required=True, help="image sets; a part is named by its file")
    stage.run(parser, work, command_line)


if __name__ == "__main__":
    main()
