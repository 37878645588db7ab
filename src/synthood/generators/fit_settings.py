"""Settings of a job that fits a generator."""

from typing import Annotated

from synthood.common.precision import Precision
from synthood.common.settings import JobSettings
from synthood.generators.kinds import PACKAGE
from synthood.generators.kinds.fitting import Fitting
from synthood.plugins import OneOf


class FitSettings(JobSettings):
    """One job of `fit_generator`."""

    generator: Annotated[Fitting, OneOf(PACKAGE)]
    precision: Precision = "auto"
