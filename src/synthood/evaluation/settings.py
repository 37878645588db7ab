"""Settings of the `detectors` section, and of a job that scores."""

from typing import Annotated

from pydantic import Field

from synthood.common.settings import JobSettings, Name
from synthood.evaluation.detectors.base import Detector
from synthood.plugins import OneOf

FACTS = ("part", "index", "path", "label", "prediction", "probability")
"""Columns of the scores besides the detectors'; `path` is empty where an image comes from no file of its own."""
TEXTS = {"part": "str", "path": "str"}
"""Types of those columns that are text."""

AnyDetector = Annotated[Detector, OneOf("synthood.evaluation.detectors")]


class ScoreSettings(JobSettings):
    """One job of `score`: every detector on one model's features."""

    detectors: dict[Name, AnyDetector]
    near: list[Name]
    far: list[Name]
    shifted: Annotated[list[Name], Field(description="ID classes in other circumstances")] = []

    @property
    def parts(self) -> list[str]:
        """What is scored."""
        return ["test", *self.near, *self.far, *self.shifted]
