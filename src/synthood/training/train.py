"""Stage `train`: one classifier of one recipe and seed."""

import csv
from collections.abc import Sequence
from pathlib import Path

from synthood.common import stage
from synthood.common.arithmetic import resolved_precision
from synthood.common.devices import device_for, set_threads
from synthood.common.images import concatenate, read_images
from synthood.common.iterate import ResumeFile
from synthood.common.tensors import write_tensors
from synthood.training.exposure import exposed_images
from synthood.training.fit import History, train
from synthood.training.heads import learned
from synthood.training.outlier_set import OutlierSet
from synthood.training.pretrained import pretrained_digest
from synthood.training.settings import TrainSettings


def write_history(path: Path, history: History) -> None:
    """Epochs as CSV."""
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(history[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: f"{value:.6g}" for key, value in row.items()} for row in history)


def main(command_line: Sequence[str] | None = None) -> None:
    def work(job: stage.Job) -> None:
        arguments = job.arguments
        settings = TrainSettings.parse(arguments.settings)
        set_threads(arguments.threads)
        synthetic = concatenate([read_images(path) for path in arguments.synthetic]) if arguments.synthetic else None
        resume = ResumeFile(arguments.resume, job.fingerprint, arguments.save_seconds)
        with device_for(arguments.gpus) as device:
            job.facts |= {
                "device": str(device),
                "precision": str(resolved_precision(settings.recipe.precision or settings.precision, device)),
                "effective_alpha": settings.recipe.effective_alpha,
                "raw": arguments.raw,
            }
            if digest := pretrained_digest(settings.recipe.network):
                job.facts |= {"weights_sha256": digest, "raw": settings.pretrained_state}
            real = read_images(arguments.train)
            outliers = OutlierSet.read(arguments.outliers, real.labels) if arguments.outliers else None
            gates = arguments.exposure
            exposed = exposed_images(gates[0], real.images.shape[1:]) if gates else None
            classifier, terms, history = train(
                settings,
                arguments.seed,
                real,
                read_images(arguments.val),
                synthetic,
                device,
                resume,
                warm_start=next(iter(arguments.warm_start), None),
                teacher_model=next(iter(arguments.teacher), None),
                outliers=outliers,
                exposed=exposed,
            )
        model, curves, heads = arguments.output
        with job.writing(curves) as path:
            write_history(path, history)
        with job.writing(heads) as path:
            found = {key: value.cpu().contiguous().numpy() for key, value in learned(terms).items()}
            write_tensors(path, found, {"terms": list(terms)})
        with job.writing(model) as path:
            classifier.save(path)
        resume.clear()
        print(
            f"{model}: validation accuracy {history[-1]['val_accuracy']:.4f}, alpha {settings.recipe.effective_alpha}"
        )

    parser = stage.resumable(stage.parser(__doc__))
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--train", type=Path, required=True, help="ID training images")
    parser.add_argument("--val", type=Path, required=True, help="ID validation images")
    parser.add_argument("--synthetic", type=Path, nargs="*", default=[], help="blocks of synthetic ID images")
    parser.add_argument("--warm-start", type=Path, nargs="*", default=[], help="model whose weights come first")
    parser.add_argument("--teacher", type=Path, nargs="*", default=[], help="model that is distilled")
    parser.add_argument(
        "--outliers", type=Path, nargs="*", default=[], help="what embed, boundary, latents and gate wrote"
    )
    parser.add_argument("--exposure", type=Path, nargs="*", default=[], help="what gate wrote, for its images")
    parser.add_argument("--raw", nargs="?", const="", default="", help="state of the folder of pictures as planned")
    stage.run(parser, work, command_line)


if __name__ == "__main__":
    main()
