"""Which of a source's images one job of `prepare` takes."""

from typing import Annotated, Literal, Self

from pydantic import Field

from synthood.common.settings import JobSettings, Name
from synthood.data.files.settings import ClassName
from synthood.data.overlap_settings import CALIBRATION
from synthood.plugins import Plugin

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


class Selection(JobSettings):
    """A part of a dataset, without the source that it is taken from."""

    part: Name
    ood: Annotated[bool, Field(description="labels are -1, whatever the source")] = False
    validation: Annotated[
        Plugin | None, Field(description="ID images that a computed set is made of, or has the size of")
    ] = None
    held_out: Annotated[list[ClassName], Field(description="the images of these classes of an ID source alone")] = []
    held_out_splits: Annotated[list[Split], Field(description="of these splits; default: all")] = []
    taught: Annotated[Plugin | None, Field(description="whose classes a shifted set's labels are")] = None
    side: Annotated[int | None, Field(description="side of the ID images, which must be that of these")] = None

    calibration: Annotated[
        float | None, Field(gt=0, lt=1, description="share of the validation images that the part calibration has")
    ] = None

    @property
    def of_validation(self) -> bool:
        """Whether the part is drawn from the validation images of a source, which knows no calibration images."""
        return self.calibration is not None and self.part in ("val", CALIBRATION)

    @property
    def asked(self) -> Self:
        """What a source is asked for."""
        return self.model_copy(update={"part": "val"}) if self.part == CALIBRATION else self

    @property
    def split(self) -> Split:
        """The split of an ID source that the part is."""
        return next(split for split in SPLITS if split == self.part)

    @property
    def splits_read(self) -> list[Split]:
        """The splits that held-out classes are taken from; empty where none are held out."""
        return (self.held_out_splits or list(SPLITS)) if self.held_out else []
