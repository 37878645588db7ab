"""A stage's command line, from its function's signature: one option per parameter, described by its annotation."""

import argparse
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from synthood.common.settings import Settings

WRITTEN = "written"
Output = Annotated[Path, WRITTEN]
"""A parameter that is a path the stage writes; all other paths are inputs."""
Outputs = Annotated[list[Path], WRITTEN]
"""A parameter that is a list of such paths; a stage that has one writes nothing else."""


class Command:
    """The options of a stage's function, whose first parameter is the job."""

    def __init__(self, function: Callable[..., None]) -> None:
        self.function = function
        hints = get_type_hints(function, include_extras=True)
        self.parameters = {
            name: _Option(hints[name], parameter.default)
            for name, parameter in list(inspect.signature(function).parameters.items())[1:]
        }
        self.outputs = [name for name, option in self.parameters.items() if option.written]

    @property
    def _in_a_list(self) -> bool:
        return any(self.parameters[name].listed for name in self.outputs)

    def parser(self) -> argparse.ArgumentParser:
        """Every stage takes settings as JSON, and threads."""
        settings = self.parameters.get("settings")
        of = f"{settings.kind.__name__} as JSON; the rest by default" if settings else "nothing: the stage has none"
        threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
        result = argparse.ArgumentParser(description=sys.modules[self.function.__module__].__doc__, allow_abbrev=False)
        result.add_argument("--settings", default="{}", help=of)
        result.add_argument("--threads", type=int, default=threads, help=f"default: {threads}, of OMP_NUM_THREADS")
        for name, option in self.parameters.items():
            if name not in ("settings", "threads"):
                result.add_argument(f"--{name.replace('_', '-')}", **option.words)
        return result

    def parse(self, command_line: Sequence[str] | None) -> argparse.Namespace:
        """What a job is made from; its outputs are one list, `output`, in the order of the parameters."""
        parsed = self.parser().parse_args(command_line)
        written = [vars(parsed).pop(name) for name in self.outputs]
        parsed.output = written[0] if self._in_a_list else written
        return parsed

    def arguments(self, parsed: argparse.Namespace) -> dict[str, Any]:
        """The function's arguments by name."""
        written = [parsed.output] if self._in_a_list else parsed.output
        given = vars(parsed) | dict(zip(self.outputs, written, strict=True))
        return {name: option.value(given[name]) for name, option in self.parameters.items()}


class _Option:
    """One parameter: its type, whether the stage writes it, and what argparse needs to know."""

    def __init__(self, hint: Any, default: Any) -> None:
        self.kind, *notes = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        self.written = WRITTEN in notes
        required = default is inspect.Parameter.empty
        texts = ["what the stage writes" if note == WRITTEN else note for note in notes]
        if isinstance(default, (int, float, str)) and default not in ("", False):
            texts.append(f"default: {default}")
        self.words: dict[str, Any] = {"required": required, "help": "; ".join(texts)}
        self.words |= {} if required else {"default": default}
        inner = get_args(self.kind)
        if self.kind is bool:
            self.words["action"] = "store_true"
        elif inner:
            self.words["type"] = inner[0]
        else:
            self.words["type"] = self.kind
        self.listed = get_origin(self.kind) in (list, Sequence)
        if self.listed:
            self.words["nargs"] = "+" if required else "*"

    def value(self, given: Any) -> Any:
        """Settings from their text; anything else as it was parsed."""
        if isinstance(self.kind, type) and issubclass(self.kind, Settings):
            return self.kind.parse(given)
        return given
