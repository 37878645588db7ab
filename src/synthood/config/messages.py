"""Mistakes in a configuration: key path, what was expected, the nearest valid name."""

import re
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from synthood.config.read import EXPONENT, as_number
from synthood.config.renames import new_name
from synthood.errors import SynthoodError, nearest, printable
from synthood.plugins import OneOf, plugins

SHOWN = 8
TAG_KEYS = ("kind", "sampler", "objective")
"""Keys that say which model a section is of."""
BOUNDS = {"less_than_equal": "le", "less_than": "lt", "greater_than_equal": "ge", "greater_than": "gt"}
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)")


def word(section: str) -> str:
    """What an entry of a section is called."""
    return {"outliers": "section of outliers", "extra": "extra set"}.get(section, section[:-1])


class MistakeError(SynthoodError):
    """Something wrong at one key path."""

    def __init__(self, path: str, what: str) -> None:
        self.path, self.what = printable(path, 300), printable(what, 4000)
        super().__init__(f"{self.path}: {self.what}" if path else self.what)


def format_errors(error: ValidationError, model: type[BaseModel]) -> list[MistakeError]:
    """pydantic's findings in our words, one per key path."""
    mistakes: dict[str, MistakeError] = {}
    for finding in error.errors(include_url=False):
        path, owner = locate(model, finding["loc"])
        field = owner.model_fields.get(str(path[-1])) if owner and path else None
        new = new_name(tuple(map(str, path))) if finding["type"] == "extra_forbidden" else None
        what = f"unknown key; its name is now `{new}`" if new else _sentence(finding, owner, field)
        text = ".".join(str(part) for part in path)
        mistakes.setdefault(text, MistakeError(text, what))
    return list(mistakes.values())


def _meant(kind: str, given: Any, context: dict[str, Any], field: FieldInfo | None) -> str:
    """What the value is in which unit, and how a number is written."""
    if kind in ("float_type", "int_type") and isinstance(given, str):
        if found := EXPONENT.fullmatch(given.strip()):
            return f", which is text to YAML; {as_number(found)}"
        return ", which is text; take the quotes away" if NUMBER.fullmatch(given.strip()) else ""
    if (kind == "int_type" and isinstance(given, float)) or kind in BOUNDS:
        share = kind in BOUNDS and context.get(BOUNDS[kind]) == 1 and isinstance(given, float | int) and given > 1
        unit = [field.description] if field and field.description else []
        unit += [f"a share, {given / 100:g} for {given:g} %"] if share and given <= 100 else []
        return f" ({'; '.join(unit)})" if unit else ""
    return ""


def _sentence(finding: Any, owner: type[BaseModel] | None, field: FieldInfo | None) -> str:
    kind, given, context = finding["type"], finding.get("input"), finding.get("ctx", {})
    if kind == "extra_forbidden":
        key = str(finding["loc"][-1])
        return "unknown key" + (nearest(key, _keys(owner)) if owner else "")
    if kind == "missing":
        return "this key is missing"
    if kind == "union_tag_invalid":
        tags = [tag.strip().strip("'") for tag in context["expected_tags"].split(",")]
        return f"unknown kind {context['tag']!r}{nearest(str(context['tag']), tags)}"
    if kind == "union_tag_not_found":
        return "the key `kind` is missing"
    if kind == "literal_error":
        return f"expected {context['expected']}, got {given!r}"
    if kind == "too_short" and context["min_length"] == 1:
        return "must not be empty; fill it" + (
            "" if _is_required(finding["loc"][-1], owner) else " or take the key away"
        )
    if kind in ("too_short", "too_long"):
        least, most = context.get("min_length"), context.get("max_length")
        wanted = f"at least {least}" if kind == "too_short" else f"at most {most}"
        return f"expected {wanted} entries, got {context['actual_length']}"
    if kind == "value_error":
        return str(context["error"])
    message = finding["msg"]
    return f"{message[0].lower()}{message[1:]}, got {printable(repr(given), 120)}" + _meant(kind, given, context, field)


def _is_required(key: object, owner: type[BaseModel] | None) -> bool:
    fields = owner.model_fields.items() if owner else ()
    return any(field.is_required() for name, field in fields if key in (name, field.alias))


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def locate(model: type[BaseModel], loc: tuple[Any, ...]) -> tuple[list[Any], type[BaseModel] | None]:
    """The key path of a pydantic location, without the union tags in it, and the model that owns its last key."""
    path: list[Any] = []
    owner: type[BaseModel] | None = model
    expected: Any = model
    for position, step in enumerate(loc):
        options = _options(expected)
        tagged = [option for option in options if step in _tags(option)]
        if len(options) > 1 and tagged:
            expected = tagged[0]
            continue
        if step == "[key]":
            continue
        owner, expected = _inside(options, step, last=position == len(loc) - 1)
        path.append(step)
    return path, owner


def _options(expected: Any) -> list[Any]:
    """The alternatives of a type, annotations and None taken off."""
    while get_origin(expected) is Annotated:
        expected, *notes = get_args(expected)
        if family := next((note for note in notes if isinstance(note, OneOf)), None):
            return list(plugins(expected, family.package).values())
    if get_origin(expected) in (Union, types.UnionType):
        return [option for part in get_args(expected) if part is not type(None) for option in _options(part)]
    return [expected]


def _tags(option: Any) -> tuple[Any, ...]:
    if not (isinstance(option, type) and issubclass(option, BaseModel)):
        return ()
    if tag := getattr(option, "union_tag", None):
        return (tag,)
    annotations = [option.model_fields[key].annotation for key in TAG_KEYS if key in option.model_fields]
    return tuple(tag for one in annotations if get_origin(one) is Literal for tag in get_args(one))


def _inside(options: list[Any], step: Any, last: bool) -> tuple[type[BaseModel] | None, Any]:
    """The model among `options` that owns key `step`, and the type of its value."""
    for option in options:
        if isinstance(option, type) and issubclass(option, BaseModel):
            for name, field in option.model_fields.items():
                if step in (name, field.alias):
                    annotated: Any = Annotated
                    return option, annotated[(field.annotation, None, *field.metadata)]
            if last:
                return option, None
        if get_origin(option) is dict:
            return None, get_args(option)[1]
        if get_origin(option) in (list, tuple):
            return None, get_args(option)[0]
    return None, None
