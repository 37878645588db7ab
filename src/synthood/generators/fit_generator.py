"""Stage `fit_generator`: learns a generator from the ID training images, or takes one from elsewhere."""

from collections.abc import Sequence
from pathlib import Path

from synthood.common import stage
from synthood.common.arithmetic import resolved_precision
from synthood.common.devices import device_for, set_threads
from synthood.common.images import ImageSet, open_set, read_images
from synthood.common.iterate import ResumeFile
from synthood.generators.biggan.settings import BigGANFitting
from synthood.generators.ready_made_settings import ReadyMadeReading
from synthood.generators.settings import FitSettings


def glimpse(path: Path) -> ImageSet:
    """The first image of a set and all its classes, which is what a checkpoint that learns nothing needs."""
    opened = open_set(path)
    return ImageSet(opened.images[:1], opened.labels[:1], opened.classes)


def main(command_line: Sequence[str] | None = None) -> None:
    def work(job: stage.Job) -> None:
        arguments = job.arguments
        settings = FitSettings.parse(arguments.settings)
        set_threads(arguments.threads)
        resume = ResumeFile(arguments.resume, job.fingerprint, arguments.save_seconds)
        learns = settings.generator.learns
        train = read_images(arguments.train) if learns else glimpse(arguments.train)
        with device_for(arguments.gpus) as device, job.writing(arguments.output[0]) as folder:
            job.facts |= {"device": str(device), "raw": arguments.raw}
            dtype = resolved_precision(settings.precision, device)
            if isinstance(settings.generator, BigGANFitting):
                from synthood.generators.biggan import fit

                fit.make(settings.generator, train, arguments.classifier, dtype, device, resume, folder)
            elif isinstance(settings.generator, ReadyMadeReading):
                from synthood.generators import ready_made

                side = train.images.shape[1]
                job.facts["per_class"] = ready_made.adopt(
                    settings.generator, train.classes, side, arguments.threads, folder
                )
            else:
                from synthood.generators.diffusion.fit import fit_stable_diffusion

                also = [read_images(path) for path in arguments.also]
                job.facts["precision"] = str(dtype)
                fit_stable_diffusion(train, also, settings.generator, dtype, device, resume, folder)
        resume.clear()

    parser = stage.resumable(stage.parser(__doc__))
    parser.add_argument("--train", type=Path, required=True, help="ID training images")
    parser.add_argument("--also", type=Path, nargs="*", default=[], help="extra images that the generator learns")
    parser.add_argument("--raw", nargs="?", const="", default="", help="state of files from elsewhere, to be recorded")
    parser.add_argument("--classifier", type=Path, nargs="*", default=[], help="model that the fit is watched with")
    stage.run(parser, work, command_line)


if __name__ == "__main__":
    main()
