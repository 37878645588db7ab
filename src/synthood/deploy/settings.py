"""Settings of the `deploy` section, and of the job that exports a detector."""

from typing import Annotated, Literal

from pydantic import Field

from synthood.common.settings import Count, JobSettings, Name, Ref, Seed, Settings
from synthood.evaluation.settings import AnyDetector

AUTO = "auto"
Level = Annotated[float, Field(gt=0, lt=1)]


class Promise(Settings):
    """Which shares of known images may be rejected, and by which images that is calibrated."""

    reject_id: Annotated[
        list[Level], Field(min_length=1, description="shares of ID images that may be rejected, a threshold for each")
    ] = [0.01, 0.05, 0.1]
    calibration: Annotated[
        Literal["split", "cross"],
        Field(description="split: validation images that nothing else uses; cross: all of them, by folds, for few"),
    ] = "split"
    images: Annotated[
        Count | None, Field(description="validation images that calibrate with `split`; default: half of them")
    ] = None
    folds: Annotated[int, Field(ge=2, description="of `cross`")] = 5
    per_class: Annotated[
        bool, Field(description="thresholds for each predicted class that has calibration images enough")
    ] = True
    seed: Seed = 0


class DeploySettings(Promise):
    """One detector to export: candidates, of which validation data choose, and what it promises."""

    dataset: Annotated[Name, Ref("datasets"), Field(description="whose images the classifier learns")]
    recipes: Annotated[
        list[Name], Ref("recipes", seed="seed"), Field(min_length=1, description="candidates; one is exported")
    ]
    detector: Annotated[
        Name, Field(description="of the section `detectors`, or auto: the one of them with the best validation AUROC")
    ] = AUTO
    seed: Annotated[int, Field(ge=0, lt=2**31, description="of the recipes' models, and of the calibration part")] = 0


class ExportSettings(JobSettings):
    """The job: candidates in the order of its inputs, what is promised, and which parts the card measures."""

    promise: Promise
    recipes: list[Name]
    detectors: Annotated[list[dict[Name, AnyDetector]], Field(description="candidates of each recipe")]
    dataset: Name
    ood: list[Name]
    resize: int | None = None
    apply_exif_rotation: bool = True
    bits: int | None = None
