"""The key `encoder` of a section of outliers, and the settings of the stages that use it."""

from typing import Annotated

from synthood.common.settings import JobSettings
from synthood.outliers.encoders.base import ImageEncoder
from synthood.plugins import OneOf

AnyEncoder = Annotated[ImageEncoder, OneOf("synthood.outliers.encoders")]


class EncoderSettings(JobSettings):
    """One job of `fit_encoder` or `embed`."""

    encoder: AnyEncoder
