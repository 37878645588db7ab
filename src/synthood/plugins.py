"""Plug-ins: a method's settings, metadata and code in one class, found in the package of its family."""

import functools
import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Annotated, Any, ClassVar, TypeVar, Union, get_args

from pydantic import (
    BaseModel,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    Tag,
)
from pydantic import model_serializer as serializer
from pydantic_core import CoreSchema, core_schema

from synthood.common.settings import Settings


class Plugin(Settings):
    """A method of a family: its fields are the keys that a configuration sets; one, such as `kind`, names it there.

    The docstring's first paragraph is the description in the schema and in the reference. The module that a plug-in is
    in is imported for planning, so torch and other slow packages come from `common/lazy.py`.
    """

    paper: ClassVar[str] = ""
    """Where the method was published."""
    tag: ClassVar[str] = "kind"
    """The key that names it."""
    is_default: ClassVar[bool] = False
    """Whether it is meant where the key is missing."""
    of_parts: ClassVar[bool] = False
    """Whether it joins plug-ins of its kind, each of which is one in a family of its own."""

    @serializer(mode="wrap")
    def _with_kind(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {self.tag: getattr(self, self.tag)} | handler(self)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        found = handler.resolve_ref_schema(handler(schema))
        found["description"] = description_of(cls)
        if facts := cls.facts():
            found["x-facts"] = facts
        if not cls.is_default:
            found["properties"][cls.tag].pop("default", None)
            found["required"] = [cls.tag, *(key for key in found.get("required", []) if key != cls.tag)]
        return found

    @classmethod
    def facts(cls) -> str:
        """More about the method for its row in the reference, in sentences."""
        return ""

    def uses(self) -> list[type["Plugin"]]:
        """Plug-ins that this one looks up by name; those that it imports need not be listed."""
        return []

    def files(self) -> list[str]:
        """The user's Python files that this method runs; its keys `file`, and `function` or `class`, name them."""
        return []

    def dry_run(self, side: int = 32) -> None:
        """Runs the user's file on made-up numbers, images of this side; raises SynthoodError with file and line."""


def without_kind(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a plug-in that is the only one where it is named."""
    del schema["properties"]["kind"]
    schema["required"].remove("kind")
    return schema if schema["required"] else {key: value for key, value in schema.items() if key != "required"}


T = TypeVar("T", bound=Plugin)


@dataclass(frozen=True)
class OneOf:
    """Annotates a plug-in's base class: any plug-in of that base in a package, chosen by the key that names it."""

    package: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        annotated: Any = Annotated
        classes, default = plugins(source, self.package), default_of(source, self.package)
        if default is None:
            union: Any = Union[tuple(dict.fromkeys(classes.values()))]  # noqa: UP007  a union of what is found
            return handler.generate_schema(annotated[union, Field(discriminator=source.tag)])

        def named(value: Any) -> Any:
            meant = kind_of(default)
            return value.get(source.tag, meant) if isinstance(value, dict) else getattr(value, source.tag, meant)

        union = Union[tuple(annotated[cls, Tag(kind)] for kind, cls in classes.items())]  # noqa: UP007  as above
        return handler.generate_schema(annotated[union, Discriminator(named)])


@functools.cache
def plugins(base: type[T], package: str) -> dict[str, type[T]]:
    """The plug-ins of a base by their kind: the default, then the others in alphabetical order.

    A class may serve several kinds. Raises TypeError where two classes have one kind.
    """
    root = importlib.import_module(package)
    for module in pkgutil.walk_packages(root.__path__, f"{package}."):
        importlib.import_module(module.name)
    found: dict[str, type[T]] = {}
    for cls in sorted(subclasses(base), key=lambda each: each.__qualname__):
        outside = cls.of_parts != base.of_parts or not cls.__module__.startswith(f"{package}.")
        for kind in () if outside else kinds_of(cls):
            if kind in found:
                raise TypeError(f"{cls.__module__}: {cls.__name__} and {found[kind].__name__} have one kind, {kind!r}")
            found[kind] = cls
    return dict(sorted(found.items(), key=lambda item: (not item[1].is_default, item[0])))


def default_of(base: type[T], package: str) -> type[T] | None:
    """The plug-in that is meant where none is named."""
    return next((cls for cls in plugins(base, package).values() if cls.is_default), None)


def plugins_of(base: type[T], module: ModuleType) -> dict[str, type[T]]:
    """The plug-ins of a base in one module, by their kind."""
    own = [cls for cls in subclasses(base) if cls.__module__ == module.__name__]
    return {kind: cls for cls in own if (kind := kind_of(cls)) is not None}


@dataclass(frozen=True, eq=False)
class Kind:
    """Annotates text that is the kind of a plug-in."""

    classes: Mapping[str, type[Plugin]]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.literal_schema(list(self.classes))


def kind_of(cls: type[Plugin]) -> str | None:
    """The first kind of a plug-in; None for a base, whose kind is any text."""
    return next(iter(kinds_of(cls)), None)


def kinds_of(cls: type[Plugin]) -> tuple[str, ...]:
    """The kinds that a plug-in serves, mostly one."""
    return get_args(cls.model_fields[cls.tag].annotation)


def subclasses(base: type[Any]) -> Iterator[type[Any]]:
    """All classes below a base."""
    for cls in base.__subclasses__():
        yield cls
        yield from subclasses(cls)


def description_of(cls: type[Plugin]) -> str:
    """The docstring's first paragraph with the paper."""
    text = " ".join((cls.__doc__ or "").split("\n\n")[0].split())
    return f"{text.removesuffix('.')} ({cls.paper})." if cls.paper else text


class WithPlainPlugins(Settings):
    """Settings whose own keys hold plug-ins, beside those that are sections of theirs."""

    def plain_plugins(self) -> dict[str, Plugin]:
        """The plug-ins by the key that stands for each."""
        raise NotImplementedError


def plugins_in(value: Any, place: str = "") -> Iterator[tuple[str, Plugin]]:
    """Every plug-in among settings, however deep, with its place in them."""
    if isinstance(value, Plugin):
        yield place, value
    if isinstance(value, WithPlainPlugins):
        yield from ((f"{place}.{name}".removeprefix("."), plugin) for name, plugin in value.plain_plugins().items())
    if isinstance(value, BaseModel):
        items: Iterable[tuple[Any, Any]] = [(name, getattr(value, name)) for name in type(value).model_fields]
    else:
        items = (
            value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
        )
    for key, item in items:
        yield from plugins_in(item, f"{place}.{key}".removeprefix("."))
