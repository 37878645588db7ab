"""What all settings have in common: strict, frozen, and with one canonical text."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

# File systems take 255 bytes, of which the endings of temporary files need some.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=75)]
Seed = Annotated[int, Field(ge=0, lt=2**31, description="of the random numbers")]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Interpolation = Literal["bilinear", "bicubic"]
"""How images are resized; where they shrink, with antialiasing."""


@dataclass(frozen=True)
class Ref:
    """Marks a key whose value names an entry of another section: `Annotated[Name, Ref("recipes")]`."""

    section: str
    or_section: str | None = None
    """Where an entry is looked for that `section` does not have."""
    seed: str | None = None
    """The key next to this one that holds the seed of the recipe's model; else it is that of the model in need."""
    without: tuple[str, ...] = ()
    """Keys that the named recipe must not have."""

    @property
    def sections(self) -> list[str]:
        """Where the entry may be."""
        return [section for section in (self.section, self.or_section) if section]


NO_OUTLIERS = ("outliers", "exposure")
REAL_IMAGES = ("synthetic", *NO_OUTLIERS)


def unless(wrong: Callable[[float], bool], what: str) -> AfterValidator:
    """Refuses numbers that make sense in another unit alone; `what` names the right one."""

    def checked(value: float | None) -> float | None:
        if value is not None and wrong(value):
            raise ValueError(f"{what}, got {value:g}")
        return value

    return AfterValidator(checked)


PERCENT = unless(lambda value: 0 < value < 1, "expected percent, not a share: 90 for 90 %, not 0.9")
BEFORE_THE_END = unless(
    lambda value: value == 1, "expected a share of the steps below 1, not epochs: 0.05 for 5 of 100 epochs"
)


def _name_paper(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Writes the `paper` of a class into its JSON schema."""
    if paper := getattr(model, "paper", None):
        schema["x-paper"] = paper


class Settings(BaseModel):
    """A section of the configuration: unknown keys and wrong types are errors."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, json_schema_extra=_name_paper
    )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads the canonical JSON that a rule hands to its stage."""
        return cls.model_validate_json(text)

    def canonical(self) -> str:
        """The same text for the same meaning: sorted keys, defaults left out."""
        return canonical_json(self.model_dump(mode="json", by_alias=True, exclude_defaults=True))


class JobSettings(Settings):
    """What one job of a stage depends on, with the code of the plug-ins that it names."""

    code: Annotated[dict[str, str], Field(description="digests of the code of plug-ins, by their place")] = {}


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
