"""Settings of a classifier that was trained elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator, model_validator

from synthood.common.settings import unless
from synthood.training.networks.architectures.base import Sha256
from synthood.training.networks.imported_recipe import ImportedRecipe
from synthood.training.networks.settings import AnyNetwork

if TYPE_CHECKING:
    from synthood.training.networks.model import Classifier

OfPixels = Annotated[
    float, Field(ge=0), unless(lambda value: value > 1, "expected pixels in [0,1]; divide by 255 what is in 0 to 255")
]


class CheckpointRecipe(ImportedRecipe):
    """A model trained elsewhere: the file of its state dict, and what its inputs were normalised by, in [0,1]."""

    kind: Literal["checkpoint"]
    path: Annotated[str, Field(min_length=1, description="{seed} in it stands for the seed; without, one for all")]
    sha256: Sha256 | None = None
    network: Annotated[AnyNetwork, Field(description="architecture that the weights belong to")]
    weights: Annotated[
        str | None,
        Field(min_length=1, description="ema, raw, or the file's entry with the weights; averaged ones (EMA) if null"),
    ] = None
    prefix: Annotated[str | None, Field(description="what the keys of the network's weights begin with")] = None
    ignore: Annotated[
        list[Annotated[str, Field(min_length=1)]], Field(description="patterns of keys that are left out: criterion.*")
    ] = []
    rename: Annotated[
        dict[Annotated[str, Field(min_length=1)], str], Field(description="beginnings of keys, and what they become")
    ] = {}
    mean: Annotated[
        list[OfPixels], Field(min_length=3, max_length=3, description="of red, green and blue, subtracted; in [0,1]")
    ]
    std: Annotated[
        list[Annotated[OfPixels, Field(gt=0)]],
        Field(min_length=3, max_length=3, description="SD of red, green and blue, divided by; in [0,1]"),
    ]

    @field_validator("path")
    @classmethod
    def _only_the_seed_is_filled_in(cls, path: str) -> str:
        left = path.replace("{seed}", "")
        if "{" in left or "}" in left:
            raise ValueError(f"{path!r} has braces around something else than {{seed}}")
        return path

    @model_validator(mode="after")
    def _weights_of_one_place(self) -> CheckpointRecipe:
        if getattr(self.network, "pretrained", None):
            raise ValueError("network.pretrained is for recipes that are trained; here `path` holds the weights")
        if self.sha256 and "{seed}" in self.path:
            raise ValueError("sha256 is of one file, but path has {seed} in it")
        return self

    def weights_file(self) -> Path:
        return Path(self.path)

    def classifier(self, classes: list[str], report: Callable[[str], None] = print) -> Classifier:
        from synthood.training.networks.checkpoint import imported  # torch

        return imported(self, classes, report)
