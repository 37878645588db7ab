"""A fitted generator as a folder: its own library's format, and what synthood must know of it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from synthood.common.artefact import verify
from synthood.errors import SynthoodError

DESCRIPTION = "synthood.json"


@dataclass(frozen=True)
class Description:
    """The ID classes in label order, and for Stable Diffusion the prompt with `{word}` in it."""

    kind: str
    classes: list[str]
    prompt: str = ""

    def write(self, folder: Path) -> None:
        (folder / DESCRIPTION).write_text(json.dumps(asdict(self), indent=1, sort_keys=True) + "\n")

    @classmethod
    def read(cls, folder: Path) -> "Description":
        """Verifies the whole folder first."""
        verify(folder)
        file = folder / DESCRIPTION
        if not file.is_file():
            raise SynthoodError(f"{folder}: no {DESCRIPTION} in it, so not a generator that this pipeline fitted")
        return cls(**json.loads(file.read_text()))
