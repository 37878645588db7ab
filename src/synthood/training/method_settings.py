"""The keys of a recipe that add methods to cross-entropy, from the classes in `training/methods/`."""

from collections.abc import Iterable
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import Field, create_model

from synthood.common.settings import JobSettings, Settings
from synthood.plugins import plugins
from synthood.training.methods.base import Method


def key_of(method: type[Method]) -> str:
    return method.key


METHODS = {
    key: tuple(classes)
    for key, classes in groupby(sorted(plugins(Method, "synthood.training.methods").values(), key=key_of), key_of)
}
"""The methods that each key of a recipe may name."""


def field_of(classes: tuple[type[Method], ...]) -> Any:
    """The type of a recipe's key: one method, or several that `kind` tells apart; and its default, none."""
    union: Any = Union[classes]  # noqa: UP007  a union of what is found
    if len(classes) > 1:
        union = Annotated[union, Field(discriminator="kind")]
    return Annotated[union | None, Field(description=classes[0].meaning)], None


class Named(Settings):
    """Settings that name methods."""

    @property
    def methods(self) -> list[Method]:
        """The methods that are named, in the order in which they act."""
        named = [method for key in METHODS if (method := getattr(self, key)) is not None]
        return sorted(named, key=lambda method: (method.order, method.key))


if TYPE_CHECKING:

    class Methods(Named):
        """The keys of a recipe that add methods."""

        def __getattr__(self, key: str) -> Any: ...
else:
    fields = {key: field_of(classes) for key, classes in METHODS.items()}
    Methods = create_model("Methods", __base__=Named, __doc__="The keys of a recipe that add methods.", **fields)


class ExtractSettings(JobSettings):
    """One job of `extract`: the methods whose trained heads detectors read."""

    heads: Methods = Methods()

    @classmethod
    def of(cls, methods: Iterable[Method]) -> "ExtractSettings":
        """Of a recipe's methods."""
        return cls(heads=Methods(**{method.key: method for method in methods if method.head}))
