"""Stage `fit_encoder`: fits an encoder of images to the class words."""

from pathlib import Path
from typing import Annotated

from synthood.common import stage
from synthood.common.command import Output
from synthood.common.devices import device_for, set_threads
from synthood.common.images import open_set
from synthood.common.iterate import ResumeFile
from synthood.generators.diffusion import pipelines
from synthood.generators.folder import Description
from synthood.outliers.class_words import anchors_of, text_encoder_digest
from synthood.outliers.encoder_settings import EncoderSettings


@stage.Stage
def main(
    job: stage.Job,
    settings: EncoderSettings,
    threads: int,
    train: Annotated[Path, "ID training images"],
    generator: Annotated[Path, "folder of a Stable Diffusion"],
    output: Output,
    resume: Annotated[Path | None, "folder for the state of an unfinished fit"] = None,
    save_seconds: Annotated[float, "time between two saved states"] = stage.SAVE_SECONDS,
    gpus: Annotated[int, "0: compute on the CPU"] = 0,
) -> None:
    set_threads(threads)
    description = Description.read(generator)
    pipeline = pipelines.load(generator)
    state = ResumeFile(resume, job.fingerprint, save_seconds)
    anchors = anchors_of(pipeline, description.class_words, settings.encoder.anchors)
    images, text_encoder = open_set(train), text_encoder_digest(pipeline)
    with device_for(gpus) as device:
        encoder = settings.encoder.fit(images, anchors, text_encoder, state, device)
    with job.writing(output) as path:
        encoder.save(path)
    state.clear()


if __name__ == "__main__":
    main()
