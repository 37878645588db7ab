"""Settings of the `outliers` section: how outliers are made."""

from typing import Annotated

from synthood.outliers.kinds.base import OutlierKind
from synthood.plugins import OneOf

AnyOutliers = Annotated[OutlierKind, OneOf("synthood.outliers.kinds")]
