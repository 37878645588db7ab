"""Settings of the `deploy` section, and of the job that exports a detector."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from synthood.common.settings import Interpolation, JobSettings, Name, Ref, Seed, Settings
from synthood.evaluation.settings import AnyDetector
from synthood.training.method_settings import Methods

AUTO = "auto"
Level = Annotated[float, Field(gt=0, lt=1)]


class Promise(Settings):
    """Which shares of known images may be rejected, and by which images that is calibrated."""

    reject_id: Annotated[
        list[Level], Field(min_length=1, description="shares of ID images that may be rejected, a threshold for each")
    ] = [0.01, 0.05, 0.1]
    calibration: Annotated[
        Literal["split", "cross"],
        Field(description="split: the dataset's part `calibration`; cross: all validation images, by folds, for few"),
    ] = "split"
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
        Name,
        Field(description="of the section `detectors`, or auto: that of features with the best validation AUROC"),
    ] = AUTO
    seed: Annotated[int, Field(ge=0, lt=2**31, description="of the recipes' models, and of the folds")] = 0
    seeds: Annotated[
        list[Annotated[int, Field(ge=0, lt=2**31)]] | None,
        Field(min_length=2, description="models that decide as one by their mean softmax; default: that of `seed`"),
    ] = None

    onnx: Annotated[
        bool, Field(description="also detector.onnx, from pixels to p-values; needs `pip install synthood[onnx]`")
    ] = False

    @model_validator(mode="after")
    def _each_seed_once(self) -> Self:
        if twice := [seed for seed in self.seeds or [] if (self.seeds or []).count(seed) > 1]:
            raise ValueError(f"seeds: {twice[0]} stands twice; name each once")
        return self

    @property
    def models(self) -> list[int]:
        """Seeds of each recipe's models."""
        return self.seeds or [self.seed]


class ExportSettings(JobSettings):
    """The job: candidates in the order of its inputs, what is promised, and which parts the card measures."""

    promise: Promise
    recipes: list[Name]
    detectors: Annotated[list[dict[Name, AnyDetector]], Field(description="candidates of each recipe")]
    heads: Annotated[list[Methods], Field(description="methods of each recipe whose trained heads detectors read")]
    seeds: Annotated[list[int], Field(min_length=1, description="of each recipe's models")]
    onnx: bool = False
    left_out: Annotated[list[str], Field(description="detectors that cannot be exported, with the reason")] = []
    dataset: Name
    ood: list[Name]
    ood_classes: Annotated[
        dict[Name, list[str]], Field(description="what the images of an OOD set show, where they are not computed")
    ] = {}
    resize: int | None = None
    apply_exif_rotation: bool = True
    bits: int | None = None
    interpolation: Interpolation = "bilinear"
