"""The choice of arithmetic, as the configuration names it."""

from typing import Literal

Precision = Literal["auto", "float32", "bfloat16"]
