"""Stage `train`: one classifier of one recipe and seed."""

import csv
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from synthood.common import stage
from synthood.common.arithmetic import resolved_precision
from synthood.common.command import Output
from synthood.common.devices import check_gpus, device_for, keep_freed_memory, set_threads
from synthood.common.images import check_sizes, open_set
from synthood.common.iterate import ResumeFile
from synthood.common.ranks import joined, ranks_of_torchrun
from synthood.common.tensors import write_tensors
from synthood.errors import SynthoodError
from synthood.training import fit
from synthood.training.feed import Labelled, joined_sets
from synthood.training.networks.frozen import backbone_digest, open_features
from synthood.training.networks.model import Classifier
from synthood.training.networks.pretrained import pretrained_digest
from synthood.training.networks.pretraining import pretraining_of
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


@stage.Stage
def main(
    job: stage.Job,
    settings: TrainSettings,
    threads: int,
    seed: Annotated[int, "of the model"],
    train: Annotated[Path, "ID training images, or their features"],
    val: Annotated[Path, "ID validation images, or their features"],
    model: Output,
    history: Output,
    heads: Output,
    synthetic: Annotated[Sequence[Path], "blocks of synthetic ID images, or their features"] = (),
    warm_start: Annotated[Path | None, "model whose weights come first"] = None,
    teacher: Annotated[Path | None, "model that is distilled"] = None,
    embeddings: Annotated[Path | None, "what embed wrote"] = None,
    boundary: Annotated[Path | None, "what boundary wrote"] = None,
    latents: Annotated[Path | None, "what latents wrote"] = None,
    gate: Annotated[Path | None, "what gate wrote"] = None,
    exposure: Annotated[Path | None, "what gate wrote, a set of outlier images, or their features"] = None,
    raw: Annotated[str, "state of the folder of pictures as planned"] = "",
    memory: Annotated[int, "MiB of the job; images take half of it, or are streamed"] = 0,
    resume: Annotated[Path | None, "folder for the state of an unfinished fit"] = None,
    save_seconds: Annotated[float, "time between two saved states"] = stage.SAVE_SECONDS,
    gpus: Annotated[int, "0: compute on the CPU; above 1: one process on each"] = 0,
) -> None:
    check_gpus(gpus)
    frozen = settings.recipe.network.frozen
    if not frozen:
        check_sizes([train, val, *synthetic])
    ranks = ranks_of_torchrun()
    if gpus > 1 and ranks.count == 1:
        stage.start_again_under_torchrun("synthood.training.train", gpus, job.command_line)
    if not ranks.is_main:
        # Stays open until the process ends
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115  open until the process ends
    of_rank = max(1, threads // ranks.count)
    set_threads(of_rank)
    keep_freed_memory()
    opened: Callable[[Path], Labelled] = open_features if frozen else open_set
    blocks = joined_sets([opened(path) for path in synthetic]) if synthetic else None
    state = ResumeFile(resume, job.fingerprint, save_seconds, ranks)
    real = opened(train)
    outliers = None
    if embeddings and boundary and latents and gate:
        outliers = OutlierSet.read(embeddings, boundary, latents, gate, real.labels)
    elif embeddings or boundary or latents or gate:
        raise SynthoodError("--embeddings, --boundary, --latents, --gate: some are missing; give all four or none")
    shape = real.images.shape[1:]
    exposed = (open_features(exposure).images if frozen else exposed_images(exposure, shape)) if exposure else None
    with device_for(min(1, gpus)) as device, joined(ranks, device):
        job.facts |= {
            "device": str(device),
            "devices": ranks.count,
            "precision": str(resolved_precision(fit.precision_of(settings), device)),
            "effective_alpha": settings.recipe.effective_alpha,
            "raw": raw,
        }
        if digest := pretrained_digest(settings.recipe.network):
            job.facts |= {"weights_sha256": digest, "raw": settings.pretrained_state}
        classifier, terms, curves = fit.train(
            settings,
            seed,
            real,
            opened(val),
            blocks,
            device,
            state,
            warm_start=warm_start,
            teacher_model=teacher,
            outliers=outliers,
            exposed=exposed,
            threads=of_rank,
            memory=(memory << 20) or None,
            ranks=ranks,
            on_epoch=lambda so_far: state.note("history.csv", lambda path: write_history(path, so_far)),
        )
    if not ranks.is_main:
        return
    kept = fit.kept_epoch(settings.recipe, curves)
    if settings.recipe.keep == "best":
        job.facts |= {"kept_epoch": int(kept["epoch"])}
    below_head = backbone_digest(classifier.network) if frozen else None
    began_with = pretraining_of(settings.recipe.network, digest, below_head)
    if began_with is None and warm_start is not None and (of := Classifier.load(warm_start).pretraining) is not None:
        began_with = replace(of, learned="all", below_head=None)
    classifier.pretraining = began_with
    with job.writing(history) as path:
        write_history(path, curves)
    with job.writing(heads) as path:
        state_of_terms = {key: value.cpu().contiguous().numpy() for key, value in learned(terms).items()}
        write_tensors(path, state_of_terms, {"terms": list(terms)})
    with job.writing(model) as path:
        classifier.save(path)
    state.clear()
    print(f"{model}: validation accuracy {kept['val_accuracy']:.4f}, alpha {settings.recipe.effective_alpha}")


if __name__ == "__main__":
    main()
