"""A generator that a user wrote: a class in a Python file of theirs."""

from __future__ import annotations

import hashlib
import inspect
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from synthood.common.lazy import np
from synthood.common.settings import Seed, Settings
from synthood.common.user_code import call, load
from synthood.errors import SynthoodError
from synthood.generators.folder import DESCRIPTION, Description
from synthood.generators.kinds.base import ImageGenerator
from synthood.generators.kinds.fitting import FitTask, Fitting
from synthood.generators.kinds.sampling import Draw, Sampling

Values = dict[str, bool | int | float | str]
FIT = ("images", "labels", "classes", "seed", "folder", "device")
SAMPLE = ("folder", "labels", "seeds", "device")
"""What its methods are called with, by name."""


class UserClass(Settings):
    """The user's class, which fit and sampling have in common."""

    file: Annotated[str, Field(pattern=r"\.py$", description="a Python file, relative to where snakemake runs")]
    class_: Annotated[str, Field(alias="class", pattern=r"^[A-Za-z_]\w*$", description="the class in it")] = "Generator"
    values: Annotated[Values, Field(description="keyword arguments of the class")] = {}

    def files(self) -> list[str]:
        return [self.file]

    def method(self, name: str, arguments: tuple[str, ...]) -> tuple[str, Any]:
        """A method of a new object of the class, and its place; SynthoodError where it does not take the arguments."""
        where = f"{self.file}: {self.class_}"
        cls = load(self.file, self.class_)
        if not isinstance(cls, type):
            raise SynthoodError(f"{where}: expected a class with methods fit and sample, got {type(cls).__name__}")
        found = getattr(call(where, cls, **self.values), name, None)
        if not callable(found):
            raise SynthoodError(f"{where}: has no method {name}({', '.join(arguments)})")
        try:
            inspect.signature(found).bind(**dict.fromkeys(arguments))
        except TypeError as error:
            line = f" (line {code.co_firstlineno})" if (code := getattr(found, "__code__", None)) else ""
            raise SynthoodError(f"{where}: {name} must take {', '.join(arguments)}: {error}{line}") from error
        return f"{where}.{name}", found


class CustomFitting(UserClass, Fitting):
    """What `fit_generator` needs of a generator of the user's."""

    kind: Literal["custom"] = "custom"
    seed: Annotated[Seed, Field(description="of the fit")] = 0

    def fit_generator(self, task: FitTask) -> dict[str, Any]:
        where, fit = self.method("fit", FIT)
        images, labels, classes = task.train.images, task.train.labels, list(task.classes)
        before = content(images, labels)
        task.folder.mkdir()
        call(
            where, fit, images=images, labels=labels, classes=classes, seed=self.seed, folder=task.folder,
            device=str(task.device),
        )  # fmt: skip
        if content(images, labels) != before:
            raise SynthoodError(f"{where}: changes the images or labels that it is given; work on a copy")
        if (task.folder / DESCRIPTION).exists():
            raise SynthoodError(f"{where}: writes {DESCRIPTION}, a name that is taken; choose another")
        Description(self.kind, task.classes, image_size=task.size).write(task.folder)
        return {}


class CustomSample(Settings):
    """How images are drawn from a generator of the user's."""

    seed: Seed = 0
    values: Annotated[Values, Field(description="further keyword arguments of `sample`")] = {}


class CustomSampling(UserClass, Sampling):
    """What `synthesise` needs of a generator of the user's."""

    kind: Literal["custom"] = "custom"
    sample: CustomSample = CustomSample()

    @property
    def sampling_seed(self) -> int:
        return self.sample.seed

    def draw(self, wanted: Draw) -> np.ndarray:
        where, sample = self.method("sample", (*SAMPLE, *self.sample.values))
        labels, seeds = np.array(wanted.labels, np.int64), np.array(wanted.seeds, np.int64)
        arrays, files = content(labels, seeds), states(wanted.folder)
        found = call(
            where, sample, folder=wanted.folder, labels=labels, seeds=seeds, device=str(wanted.device),
            **self.sample.values,
        )  # fmt: skip
        if content(labels, seeds) != arrays:
            raise SynthoodError(f"{where}: changes the labels or seeds that it is given; work on a copy")
        if states(wanted.folder) != files:
            raise SynthoodError(f"{where}: changes {wanted.folder}, which only fit may write; write elsewhere")
        shape = (len(seeds), *wanted.description.image_size, 3)
        if not isinstance(found, np.ndarray) or found.dtype != np.uint8 or found.shape != shape:
            raise SynthoodError(f"{where}: must return a numpy array uint8 {list(shape)}, got {described(found)}")
        return found


class CustomGenerator(CustomFitting, CustomSampling, ImageGenerator):
    """A class of yours: `fit` writes what it learns of the ID images into a folder, `sample` draws images from it."""

    def dry_run(self, side: int = 32) -> None:
        """Runs the file and creates the object; raises SynthoodError where it lacks what the jobs will call."""
        self.method("fit", FIT)
        self.method("sample", (*SAMPLE, *self.sample.values))


def content(*arrays: np.ndarray) -> list[str]:
    """Digests of arrays."""
    return [hashlib.sha256(np.ascontiguousarray(array).data).hexdigest() for array in arrays]


def states(folder: Path) -> dict[Path, tuple[int, int]]:
    """Size and time of all files in a folder."""
    return {path: ((facts := path.stat()).st_size, facts.st_mtime_ns) for path in sorted(folder.rglob("*"))}


def described(value: Any) -> str:
    """What was returned, in messages."""
    if not isinstance(value, np.ndarray):
        return f"{type(value).__name__} {list(value.shape)}" if hasattr(value, "shape") else type(value).__name__
    broken = int((~np.isfinite(value)).sum()) if np.issubdtype(value.dtype, np.floating) else 0
    return f"{value.dtype} {list(value.shape)}" + f" with {broken} values that are not finite" * (broken > 0)
