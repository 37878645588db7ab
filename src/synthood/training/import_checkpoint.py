"""Stage `import_checkpoint`: a model trained elsewhere in the place of one that `train` makes."""

from collections.abc import Sequence
from pathlib import Path

import torch

from synthood.common import stage
from synthood.common.devices import set_threads
from synthood.common.identity import sha256
from synthood.common.images import read_images
from synthood.common.tensors import write_tensors
from synthood.training.networks.checkpoint import imported
from synthood.training.networks.model import logits_and_features
from synthood.training.settings import CheckpointRecipe

HISTORY = "epoch,learning_rate,loss,accuracy,val_accuracy\n"
"""Of a training that nothing is known of: no rows."""


def main(command_line: Sequence[str] | None = None) -> None:
    def work(job: stage.Job) -> None:
        arguments = job.arguments
        set_threads(arguments.threads)
        recipe = CheckpointRecipe.parse(arguments.settings)
        validation = read_images(arguments.val)
        notes: list[str] = []
        classifier = imported(recipe, validation.classes, notes.append)
        print("".join(f"{note}\n" for note in notes), end="")
        logits, _ = logits_and_features(classifier, validation.images, torch.device("cpu"))
        accuracy = float((logits.argmax(1).numpy() == validation.labels).mean())
        digest = sha256(Path(recipe.path))
        job.facts |= {"raw": arguments.raw, "weights_sha256": digest, "val_accuracy": round(accuracy, 6)}
        job.facts |= {"weights_notes": notes}
        model, curves, heads = arguments.output
        with job.writing(curves) as path:
            path.write_text(HISTORY)
        with job.writing(heads) as path:
            write_tensors(path, {}, {"terms": []})
        with job.writing(model) as path:
            classifier.save(path)
        print(f"{model}: validation accuracy {accuracy:.4f}")
        if accuracy < 2 / len(validation.classes):
            print("hardly better than guessing: is the order of the classes, the mean and the deviation the model's?")

    parser = stage.parser(__doc__)
    parser.add_argument("--raw", nargs="?", const="", default="", help="state of the file when the job was planned")
    parser.add_argument("--val", type=Path, required=True, help="the data set's validation images")
    stage.run(parser, work, command_line)


if __name__ == "__main__":
    main()
