"""Stage `extract`: logits, penultimate features and trained heads' outputs of every part, from one pass."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch

from synthood.common import stage
from synthood.common.command import Output
from synthood.common.devices import device_for, set_threads
from synthood.common.encoded import EncodedImages
from synthood.common.images import check_sizes, open_images, stored
from synthood.evaluation.feature_files import write_batches, write_head, write_names
from synthood.evaluation.features import Features
from synthood.training.method_settings import ExtractSettings
from synthood.training.methods.term import ForwardOutputs, Term
from synthood.training.networks.frozen import FeatureClassifier, open_features
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
    """Features of images uint8 [N,H,W,3], or of the backbone's features [N,V,D], with every head's output, on the CPU.

    Batch by batch.
    """
    network = classifier.network.eval()
    done = 0
    for inputs in inputs_of(classifier, images, device):
        features = network.features(inputs)
        logits = network.head(features)
        seen = ForwardOutputs(inputs, features, logits, network.features)
        given = {name: head.readout(seen) for name, head in heads.items()}
        outputs = {name: output.float().cpu() for name, output in given.items() if output is not None}
        own = torch.from_numpy(labels[done : done + len(inputs)])
        done += len(inputs)
        yield Features(logits.float().cpu(), features.float().cpu(), own, outputs)


@stage.Stage
def main(
    job: stage.Job,
    settings: ExtractSettings,
    threads: int,
    model: Annotated[Path, "model whose features are extracted"],
    images: Annotated[list[Path], "image sets; a part is named by its file"],
    output: Output,
    heads: Annotated[Path | None, "what train learned with the model"] = None,
    cached: Annotated[Sequence[Path], "the frozen backbone's features of each set of images, in their order"] = (),
    gpus: Annotated[int, "0: compute on the CPU"] = 0,
) -> None:
    set_threads(threads)
    check_sizes(images)
    classifier = Classifier.load(model)
    features = [open_features(path) for path in cached]
    if features:
        classifier = FeatureClassifier.above(classifier, features[0].backbone, model)
    head = classifier.network.head
    terms = {
        name: term
        for path in ([heads] if heads else [])
        for name, term in read_terms(path, settings.heads.methods, head.in_features, len(classifier.classes)).items()
    }
    with device_for(gpus) as device, job.writing(output) as folder:
        classifier.network.to(device)
        folder.mkdir()
        write_head(folder, head.weight.detach().cpu(), head.bias.detach().cpu())
        on_device = {name: term.to(device) for name, term in terms.items()}
        for number, path in enumerate(images):
            found, labels = open_images(path)
            digests, names = stored(path)
            if features:
                found = features[number].of(digests, path)
            write_batches(folder, path.stem, len(found), extracted(classifier, on_device, found, labels, device))
            write_names(folder, path.stem, names)
            print(f"{path.stem}: {len(found)} images", flush=True)


if __name__ == "__main__":
    main()
