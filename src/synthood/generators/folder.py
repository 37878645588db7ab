"""A generator as a folder: its own library's format, and what synthood must know of it."""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from synthood.common.artefact import verify
from synthood.errors import SynthoodError

DESCRIPTION = "synthood.json"


@dataclass(frozen=True)
class Description:
    """The ID classes in label order, and for Stable Diffusion the prompt with `{word}` in it.

    `words` and `glosses` stand for the classes in prompts, the classes themselves where there are none. Of a
    pretrained generator also the height and width that the dataset wants, and `source`: where its weights lie, with
    their SHA-256; of a BigGAN `class_ids`, the classes of its own that each ID class consists of.
    """

    kind: str
    classes: list[str]
    prompt: str = ""
    words: list[str] = field(default_factory=list)
    glosses: list[str] = field(default_factory=list)
    image_size: list[int] = field(default_factory=list)
    source: dict[str, Any] = field(default_factory=dict)
    class_ids: list[list[int]] = field(default_factory=list)

    @property
    def class_words(self) -> list[str]:
        """What stands for each class in a prompt."""
        return self.words or self.classes

    def write(self, folder: Path) -> None:
        """What is empty is left out."""
        told = {key: value for key, value in asdict(self).items() if value or key == "prompt"}
        (folder / DESCRIPTION).write_text(json.dumps(told, indent=1, sort_keys=True) + "\n")

    @classmethod
    def read(cls, folder: Path) -> "Description":
        """Verifies the whole folder first."""
        verify(folder)
        return cls.peek(folder)

    @classmethod
    def peek(cls, folder: Path) -> "Description":
        """Without verifying."""
        file = folder / DESCRIPTION
        if not file.is_file():
            raise SynthoodError(f"{folder}: no {DESCRIPTION} in it, so not a generator that this pipeline fitted")
        told = json.loads(file.read_text())
        if not isinstance(told, dict) or not told.keys() <= {one.name for one in fields(cls)}:
            raise SynthoodError(f"{file}: not a description of a generator that this version reads; fit it again")
        return cls(**told)
