"""Stage `custom_outliers`: outlier images that a function of the user's makes of ID training images."""

from pathlib import Path
from typing import Annotated

from synthood.common import stage
from synthood.common.command import Output
from synthood.common.devices import set_threads
from synthood.common.images import ImageSet, read_images, write_images
from synthood.outliers.kinds.custom import CustomOutliersSettings, copies


@stage.Stage
def main(
    job: stage.Job,
    settings: CustomOutliersSettings,
    threads: int,
    train: Annotated[Path, "ID training images"],
    output: Output,
) -> None:
    set_threads(threads)
    known = read_images(train)
    found = settings.outliers.made_of(known.images, known.labels)
    with job.writing(output) as path:
        write_images(path, ImageSet.out_of_distribution(found))
    same = int(copies(found, known.images).sum())
    print(f"{len(found)} outliers of {len(known)} ID images; {same} are ID images, pixel by pixel")


if __name__ == "__main__":
    main()
