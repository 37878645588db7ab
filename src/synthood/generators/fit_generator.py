"""Stage `fit_generator`: learns a generator from the ID training images, or takes one from elsewhere."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from synthood.common import stage
from synthood.common.arithmetic import resolved_precision
from synthood.common.command import Output
from synthood.common.devices import device_for, set_threads
from synthood.common.images import ImageSet, open_set, read_images
from synthood.common.iterate import ResumeFile
from synthood.generators.fit_settings import FitSettings
from synthood.generators.kinds.fitting import FitTask


def glimpse(path: Path) -> ImageSet:
    """The first image of a set and all its classes, which is what a checkpoint that learns nothing needs."""
    opened = open_set(path)
    return ImageSet(opened.images[:1], opened.labels[:1], opened.classes)


@stage.Stage
def main(
    job: stage.Job,
    settings: FitSettings,
    threads: int,
    train: Annotated[Path, "ID training images"],
    output: Output,
    also: Annotated[Sequence[Path], "extra images that the generator learns"] = (),
    raw: Annotated[str, "state of files from elsewhere, to be recorded"] = "",
    classifier: Annotated[Path | None, "model that the fit is watched with"] = None,
    resume: Annotated[Path | None, "folder for the state of an unfinished fit"] = None,
    save_seconds: Annotated[float, "time between two saved states"] = stage.SAVE_SECONDS,
    gpus: Annotated[int, "0: compute on the CPU"] = 0,
) -> None:
    set_threads(threads)
    state = ResumeFile(resume, job.fingerprint, save_seconds)
    images = read_images(train) if settings.generator.learns else glimpse(train)
    with device_for(gpus) as device, job.writing(output) as folder:
        job.facts |= {"device": str(device), "raw": raw}
        dtype = resolved_precision(settings.precision, device)
        more = [read_images(path) for path in also]
        task = FitTask(images, folder, dtype, device, state, more, classifier, threads)
        job.facts |= settings.generator.fit_generator(task)
    state.clear()


if __name__ == "__main__":
    main()
