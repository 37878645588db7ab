"""Settings of the stage `prepare`: a part of a dataset and what it is made from."""

import json
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, model_validator

from synthood.data.overlap_settings import ID_PARTS
from synthood.data.selection import Selection
from synthood.data.sources.base import PACKAGE, IdSource, SetSource
from synthood.plugins import OneOf

AnyIdSource = Annotated[IdSource, OneOf(PACKAGE)]
AnySource = Annotated[SetSource, OneOf(PACKAGE)]
_SOURCES: dict[bool, TypeAdapter[Any]] = {True: TypeAdapter(AnyIdSource), False: TypeAdapter(AnySource)}


class PartSettings(Selection):
    """One job of `prepare`: a part of a dataset and what it is made from."""

    source: AnyIdSource | AnySource
    validation: Annotated[
        AnyIdSource | None, Field(description="ID images that a computed set is made of, or has the size of")
    ] = None
    taught: Annotated[AnyIdSource | None, Field(description="whose classes a shifted set's labels are")] = None

    @property
    def draw(self) -> int:
        """Seed of the calibration images: that of the ID images."""
        return int(getattr(self.validation or self.source, "seed", 0))

    @model_validator(mode="before")
    @classmethod
    def _source_by_part(cls, values: Any) -> Any:
        """A kind of both roles is that of ID images where the part, or held-out classes, say so."""
        if not isinstance(values, dict):
            return values
        # What has been parsed from JSON is parsed from JSON again, since lists stand for tuples there alone.
        id_like = values.get("part") in ID_PARTS or bool(values.get("held_out"))
        for key, is_id in (("source", id_like), ("validation", True), ("taught", True)):
            if isinstance(values.get(key), dict):
                values = {**values, key: _SOURCES[is_id].validate_json(json.dumps(values[key]))}
        return values
