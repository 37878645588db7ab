"""Stage `train`: one classifier of one recipe and seed."""

import csv
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from synthood.common import stage
from synthood.common.arithmetic import resolved_precision
from synthood.common.devices import check_gpus, device_for, keep_freed_memory, set_threads
from synthood.common.images import check_sizes, open_set
from synthood.common.iterate import ResumeFile
from synthood.common.ranks import joined, ranks_of_torchrun
from synthood.common.tensors import write_tensors
from synthood.training.feed import joined_sets
from synthood.training.fit import train
from synthood.training.networks.pretrained import pretrained_digest
from synthood.training.outlier_set import OutlierSet, exposed_images
from synthood.training.record import History
from synthood.training.settings import TrainSettings
from synthood.training.terms.build import learned


def write_history(path: Path, history: History) -> None:
    """Epochs as CSV."""
    with path.open("w", newline="") as stream:
        # Once memory ran out rows tell the micro-batches; up to there it was one.
        writer = csv.DictWriter(stream, list(history[-1]), restval="1", lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: f"{value:.6g}" for key, value in row.items()} for row in history)


def main(command_line: Sequence[str] | None = None) -> None:
    def work(job: stage.Job) -> None:
        arguments = job.arguments
        settings = TrainSettings.parse(arguments.settings)
        check_gpus(arguments.gpus)
        check_sizes([arguments.train, arguments.val, *arguments.synthetic])
        ranks = ranks_of_torchrun()
        if arguments.gpus > 1 and ranks.count == 1:
            stage.start_again_under_torchrun("synthood.training.train", arguments.gpus, given)
        if not ranks.leads:
            # Stays open until the process ends
            sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115
        threads = max(1, arguments.threads // ranks.count)
        set_threads(threads)
        keep_freed_memory()
        synthetic = joined_sets([open_set(path) for path in arguments.synthetic]) if arguments.synthetic else None
        resume = ResumeFile(arguments.resume, job.fingerprint, arguments.save_seconds, ranks)
        real = open_set(arguments.train)
        outliers = OutlierSet.read(arguments.outliers, real.labels) if arguments.outliers else None
        gates = arguments.exposure
        exposed = exposed_images(gates[0], real.images.shape[1:]) if gates else None
        with device_for(min(1, arguments.gpus)) as device, joined(ranks, device):
            job.facts |= {
                "device": str(device),
                "devices": ranks.count,
                "precision": str(resolved_precision(settings.recipe.precision or settings.precision, device)),
                "effective_alpha": settings.recipe.effective_alpha,
                "raw": arguments.raw,
            }
            if digest := pretrained_digest(settings.recipe.network):
                job.facts |= {"weights_sha256": digest, "raw": settings.pretrained_state}
            classifier, terms, history = train(
                settings,
                arguments.seed,
                real,
                open_set(arguments.val),
                synthetic,
                device,
                resume,
                warm_start=next(iter(arguments.warm_start), None),
                teacher_model=next(iter(arguments.teacher), None),
                outliers=outliers,
                exposed=exposed,
                threads=threads,
                memory=(arguments.memory << 20) or None,
                ranks=ranks,
                told=lambda so_far: resume.note("history.csv", lambda path: write_history(path, so_far)),
            )
        if not ranks.leads:
            return
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

    given = list(sys.argv[1:] if command_line is None else command_line)
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
    parser.add_argument(
        "--exposure", type=Path, nargs="*", default=[], help="what gate wrote, or a set of outlier images"
    )
    parser.add_argument("--raw", nargs="?", const="", default="", help="state of the folder of pictures as planned")
    parser.add_argument("--memory", type=int, default=0, help="MiB of the job; images take half of it, or are streamed")
    stage.run(parser, work, given)


if __name__ == "__main__":
    main()
