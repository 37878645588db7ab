"""Modules that are imported when they are first needed, so that settings next to their code load without torch.

What planning imports takes `np`, `pd`, `torch`, `nn`, `F` and, in postponed annotations, `Tensor` from here.
"""

import functools
import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

__all__ = ["F", "Lazy", "Module", "Tensor", "lazy", "nn", "np", "pd", "torch"]


class Lazy(ModuleType):
    """A module that is imported when an attribute of it is first read."""

    @functools.cached_property
    def _module(self) -> ModuleType:
        return importlib.import_module(self.__name__)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def lazy(name: str) -> Any:
    """A module to import later; `if TYPE_CHECKING: import` it as well, for mypy and for digests of the code."""
    return Lazy(name)


if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch
    import torch.nn.functional as F
    from torch import Tensor, nn

    Module = nn.Module
else:
    np, pd, torch, nn, F = map(lazy, ("numpy", "pandas", "torch", "torch.nn", "torch.nn.functional"))
    Tensor = Any  # for annotations alone

    class Module:
        """An nn.Module from the first object on; the class, which planning imports, needs no torch."""

        def __new__(cls, *_: Any, **__: Any) -> "Module":
            return object.__new__(with_torch(cls))

    @functools.cache
    def with_torch(cls: type) -> type:
        """A class below Module, and nn.Module behind it."""
        return cls if issubclass(cls, nn.Module) else type(cls.__name__, (cls, nn.Module), {})
