"""Stage `import_checkpoint`: a model trained elsewhere in the place of one that `train` makes."""

from pathlib import Path
from typing import Annotated

import torch

from synthood.common import stage
from synthood.common.command import Output
from synthood.common.devices import set_threads
from synthood.common.identity import sha256
from synthood.common.images import read_images
from synthood.common.tensors import write_tensors
from synthood.training.networks.import_settings import ImportSettings
from synthood.training.networks.model import logits_and_features
from synthood.training.networks.pretraining import pretraining_of_file

HISTORY = "epoch,learning_rate,loss,accuracy,val_accuracy\n"
"""Of a training that nothing is known of: no rows."""


@stage.Stage
def main(
    job: stage.Job,
    settings: ImportSettings,
    threads: int,
    val: Annotated[Path, "the data set's validation images"],
    model: Output,
    history: Output,
    heads: Output,
    raw: Annotated[str, "state of the file when the job was planned"] = "",
) -> None:
    set_threads(threads)
    validation = read_images(val)
    notes: list[str] = []
    recipe, weights = settings.recipe, settings.recipe.weights_file()
    classifier = recipe.classifier(validation.classes, notes.append)
    recipe.network.check(classifier.network, *validation.images.shape[1:3])
    print("".join(f"{note}\n" for note in notes), end="")
    logits, _ = logits_and_features(classifier, validation.images, torch.device("cpu"))
    accuracy = float((logits.argmax(1).numpy() == validation.labels).mean())
    digest = sha256(weights)
    classifier.pretraining = pretraining_of_file(recipe.network, weights, digest)
    job.facts |= {"raw": raw, "weights_sha256": digest, "val_accuracy": round(accuracy, 6)}
    job.facts |= {"weights_notes": notes}
    with job.writing(history) as path:
        path.write_text(HISTORY)
    with job.writing(heads) as path:
        write_tensors(path, {}, {"terms": []})
    with job.writing(model) as path:
        classifier.save(path)
    print(f"{model}: validation accuracy {accuracy:.4f}")
    if accuracy < 2 / len(validation.classes):
        print("hardly better than guessing: is the order of the classes, the mean and the deviation the model's?")


if __name__ == "__main__":
    main()
