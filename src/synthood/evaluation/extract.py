"""Stage `extract`: logits, penultimate features and trained heads' outputs of every part, from one pass."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from synthood.common import stage
from synthood.common.devices import device_for, set_threads
from synthood.common.encoded import EncodedImages
from synthood.common.images import check_sizes, open_images, stored
from synthood.evaluation.features import Features, write_batches, write_head, write_names
from synthood.training.method_settings import ExtractSettings
from synthood.training.methods.term import Seen, Term
from synthood.training.networks.model import Classifier, inputs_of
from synthood.training.terms.build import read_terms


@torch.no_grad()
def extracted(
    classifier: Classifier,
    heads: Mapping[str, Term],
    images: np.ndarray | EncodedImages,
    labels: np.ndarray,
    device: torch.device,
) -> Iterator[Features]:
    """Features of images uint8 [N,H,W,3] on the CPU, with the output of every head, batch by batch."""
    network = classifier.network.eval()
    done = 0
    for inputs in inputs_of(classifier, images, device):
        features = network.features(inputs)
        logits = network.head(features)
        seen = Seen(inputs, features, logits, network.features)
        given = {name: head.output(seen) for name, head in heads.items()}
        outputs = {name: output.float().cpu() for name, output in given.items() if output is not None}
        own = torch.from_numpy(labels[done : done + len(inputs)])
        done += len(inputs)
        yield Features(logits.float().cpu(), features.float().cpu(), own, outputs)


def main(command_line: Sequence[str] | None = None) -> None:
    def work(job: stage.Job) -> None:
        arguments = job.arguments
        settings = ExtractSettings.parse(arguments.settings)
        set_threads(arguments.threads)
        check_sizes(arguments.images)
        classifier = Classifier.load(arguments.model)
        head = classifier.network.head
        terms = {
            name: term
            for path in arguments.heads
            for name, term in read_terms(
                path, settings.heads.methods, head.in_features, len(classifier.classes)
            ).items()
        }
        with device_for(arguments.gpus) as device, job.writing(arguments.output[0]) as folder:
            classifier.network.to(device)
            folder.mkdir()
            write_head(folder, head.weight.detach().cpu(), head.bias.detach().cpu())
            heads = {name: term.to(device) for name, term in terms.items()}
            for path in arguments.images:
                images, labels = open_images(path)
                write_batches(folder, path.stem, len(images), extracted(classifier, heads, images, labels, device))
                write_names(folder, path.stem, stored(path)[1])
                print(f"{path.stem}: {len(images)} images", flush=True)

    parser = stage.with_gpus(stage.parser(__doc__))
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--heads", type=Path, nargs="*", default=[], help="what train learned beside the model")
    parser.add_argument("--images", type=Path, nargs="+", required=True, help="image sets; a part is named by its file")
    stage.run(parser, work, command_line)


if __name__ == "__main__":
    main()
