"""Stage `fit_encoder`: learns to embed images among the class words' token embeddings."""

from collections.abc import Sequence
from pathlib import Path

from synthood.common import stage
from synthood.common.devices import device_for, set_threads
from synthood.common.images import open_set
from synthood.common.iterate import ResumeFile
from synthood.generators.diffusion import pipelines
from synthood.generators.folder import Description
from synthood.outliers.class_words import anchors_of, text_encoder_digest
from synthood.outliers.encoder import fit_encoder
from synthood.outliers.encoder_settings import EncoderSettings


def main(command_line: Sequence[str] | None = None) -> None:
    def work(job: stage.Job) -> None:
        arguments = job.arguments
        set_threads(arguments.threads)
        description = Description.read(arguments.generator)
        pipeline = pipelines.load(arguments.generator)
        resume = ResumeFile(arguments.resume, job.fingerprint, arguments.save_seconds)
        settings = EncoderSettings.parse(arguments.settings)
        anchors = anchors_of(pipeline, description.class_words, settings.anchors)
        train, text_encoder = open_set(arguments.train), text_encoder_digest(pipeline)
        with device_for(arguments.gpus) as device:
            encoder = fit_encoder(train, anchors, settings, resume, text_encoder, device)
        with job.writing(arguments.output[0]) as path:
            encoder.save(path)
        resume.clear()

    parser = stage.resumable(stage.parser(__doc__))
    parser.add_argument("--train", type=Path, required=True, help="ID training images")
    parser.add_argument("--generator", type=Path, required=True, help="folder of a Stable Diffusion")
    stage.run(parser, work, command_line)


if __name__ == "__main__":
    main()
