"""Settings of the `leaks` section: what counts as nearly the same image."""

from typing import Annotated

from pydantic import Field

from synthood.common.settings import Settings


class LeakSettings(Settings):
    """Images found in two parts: the same pixels, or first alike by a hash and then by their pixels."""

    hash_bits: Annotated[int, Field(ge=0, le=24, description="bits of 64 in which perceptual hashes may differ")] = 12
    correlation: Annotated[
        float, Field(gt=0, le=1, description="least correlation of 16x16 pixels; insensitive to light and contrast")
    ] = 0.9
    drop: Annotated[
        bool,
        Field(description="evaluate without test images that stand in train or val, and OOD images in ID parts"),
    ] = False
    examples: Annotated[int, Field(ge=0, le=100, description="near pairs shown for each two parts")] = 8
