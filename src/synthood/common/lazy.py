"""Modules that are imported when they are first needed, so that settings next to their code load without torch."""

import importlib
from types import ModuleType
from typing import Any


class Lazy(ModuleType):
    """A module that is imported when an attribute of it is first read."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


def lazy(name: str) -> Any:
    """A module to import later; `if TYPE_CHECKING: import` it as well, for mypy and for digests of the code."""
    return Lazy(name)
