"""Command lines of stages that write several files."""

from collections.abc import Iterable
from pathlib import Path

from synthood.common.stage import Stage


def writing(stage: Stage, paths: Iterable[str | Path]) -> list[str]:
    """The options of what a stage writes, in the order of its parameters."""
    options = zip(stage.command.outputs, paths, strict=True)
    return [word for name, path in options for word in (f"--{name.replace('_', '-')}", str(path))]
