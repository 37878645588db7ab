"""Python files of the user: loading them, and calling what is in them."""

from __future__ import annotations

import importlib.util
import sys
import traceback
import zlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from synthood.common.lazy import torch
from synthood.common.settings import Settings
from synthood.errors import SynthoodError, printable

Text = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")]
Value = bool | int | float | str


class UserFile(Settings):
    """A Python file of the user's; a subclass has a key `function` or `class` for what is run of it."""

    default_function: ClassVar[str] = ""
    """The function that is meant where none is named."""

    file: Annotated[str, Field(pattern=r"\.py$", description="a Python file, relative to where snakemake runs")]
    values: Annotated[
        dict[Text, Value | list[Value]], Field(description="further keyword arguments of the function or class")
    ] = {}

    @property
    def named(self) -> tuple[str, str]:
        """The key that names what is run, and its name."""
        name = getattr(self, "class_", None)
        return ("class", name) if name else ("function", getattr(self, "function", None) or self.default_function)

    @property
    def where(self) -> str:
        """How messages call it."""
        return f"{self.file}: {self.named[1]}"

    def files(self) -> list[str]:
        return [self.file]

    def loaded(self) -> Callable[..., Any]:
        """The function or class, after its file has run; raises SynthoodError with file and line."""
        found: Callable[..., Any] = load(self.file, self.named[1])
        return found


class UserCode(UserFile):
    """A function or class in a Python file of the user's."""

    function: Annotated[Text | None, Field(description="the function in it")] = None
    class_: Annotated[Text | None, Field(alias="class", description="the class in it, instead of a function")] = None

    @model_validator(mode="after")
    def _one_is_named(self) -> Self:
        if (self.function is None) == (self.class_ is None) and not (self.default_function and self.class_ is None):
            raise ValueError(f"name a function or a class of {self.file}: `function` or `class`, one of the two")
        return self


def load(file: str, name: str, where: str = "") -> Any:
    """What a user's file calls `name`, the file run once; `where` is the key in the configuration.

    The file may import its neighbours by relative imports. Raises SynthoodError with file and line.
    """
    path, prefix = Path(file), f"{where}: " if where else ""
    if not path.is_file():
        raise SynthoodError(f"{prefix}{path}: not found; such paths start where snakemake runs")
    found = getattr(run(path, prefix), name, None)
    if not callable(found):
        raise SynthoodError(f"{prefix}{path}: has no function {name!r}; name one of its functions")
    return found


def run(path: Path, prefix: str = "") -> ModuleType:
    """The module of a file, in a package of its folder under a name that nothing else has."""
    folder = path.resolve().parent
    package = f"_user_{zlib.crc32(str(folder).encode()):08x}"
    if package not in sys.modules:
        sys.modules[package] = ModuleType(package)
        sys.modules[package].__path__ = [str(folder)]
    spec = importlib.util.spec_from_file_location(f"{package}.{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    call(f"{prefix}{path}", spec.loader.exec_module, module)
    return module


def call(where: str, function: Callable[..., Any], /, *arguments: Any, **values: Any) -> Any:
    """The function's result; whatever goes wrong in it is reported with `where` and the file's line."""
    before = shared_settings()
    try:
        found = function(*arguments, **values)
    except SynthoodError:
        raise
    except (Exception, SystemExit) as error:  # a file that exits would end the job as if all were well
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if f"/{Path(frame.filename).name}:" in f"/{where}:"]
        line = f" (line {lines[-1]})" if lines else ""
        raise SynthoodError(f"{where}: {type(error).__name__}: {printable(error, 300)}{line}") from error
    if changed := [name for name, value in shared_settings().items() if value != before[name]]:
        raise SynthoodError(f"{where}: changes torch's {' and '.join(changed)}, which all code shares; put it back")
    return found


def shared_settings() -> dict[str, object]:
    """What decides the last bits of every detector's scores."""
    return {
        "default dtype": torch.get_default_dtype(),
        "default device": torch.get_default_device(),
        "number of threads": torch.get_num_threads(),
        "precision of float32 products": torch.get_float32_matmul_precision(),
    }
