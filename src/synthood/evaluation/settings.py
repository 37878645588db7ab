"""Settings of the `detectors` section, and of a job that scores."""

from typing import Annotated

from pydantic import Field

from synthood.common.settings import Name, Settings
from synthood.evaluation.access.settings import OfModels
from synthood.evaluation.kinds import OfFeatures
from synthood.evaluation.trained_kinds import OfTrainedHeads

FACTS = ("part", "index", "path", "label", "prediction", "probability")
"""Columns of the scores besides the detectors'; `path` is empty where an image comes from no file of its own."""
TEXTS = {"part": "str", "path": "str"}
"""Types of those columns that are text."""

Detector = Annotated[OfFeatures | OfTrainedHeads | OfModels, Field(discriminator="kind")]


class ScoreSettings(Settings):
    """One job of `score`: every detector on one model's features."""

    detectors: dict[Name, Detector]
    near: list[Name]
    far: list[Name]
    shifted: Annotated[list[Name], Field(description="ID classes in other circumstances")] = []
    code: Annotated[dict[str, str], Field(description="digests of files that `custom` detectors are in")] = {}

    @property
    def parts(self) -> list[str]:
        """What is scored."""
        return ["test", *self.near, *self.far, *self.shifted]
