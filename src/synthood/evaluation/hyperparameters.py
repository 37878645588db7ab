"""Hyperparameters of a detector: each one value, or a list of values that is a grid to search."""

from itertools import product
from typing import Any, Literal

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from synthood.errors import SynthoodError

Access = Literal["features", "maps", "gradients", "denoiser", "ensemble"]
"""One model's features, a pass that sees its maps, gradients in images, inside a generator, or several models."""
Scalar = bool | int | float | str
Values = dict[str, Any]
"""Hyperparameters by name, none of them a grid."""


class Grid:
    """Annotates a hyperparameter: one value, or a list of values of which validation data choose one."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def one_or_each(value: Any, validate: core_schema.ValidatorFunctionWrapHandler) -> Any:
            if not isinstance(value, list):
                return validate(value)
            if not value:
                raise ValueError("must not be empty; write one value or several")
            return [validate(one) for one in value]

        as_it_is = core_schema.plain_serializer_function_ser_schema(lambda value: value)
        return core_schema.no_info_wrap_validator_function(one_or_each, handler(source), serialization=as_it_is)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        one = handler(schema)
        return {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]}


GRID = Grid()


class OutOfRangeError(SynthoodError):
    """A hyperparameter that these data cannot have; in a grid such a candidate is left out."""


def combinations(fields: Values) -> list[Values]:
    """One of each list's values and what is no list, in every combination."""
    lists = [value if isinstance(value, list) else [value] for value in fields.values()]
    return [dict(zip(fields, values, strict=True)) for values in product(*lists)]
