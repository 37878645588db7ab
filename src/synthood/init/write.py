"""The configuration as text: short, with the reason of each choice, and as `synthood check` wants it."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from synthood import __version__
from synthood.common.artefact import replacing
from synthood.errors import SynthoodError, printable
from synthood.init.choose import Choices
from synthood.init.inspect import Inspected

PLAIN = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./ +-]*")
WIDTH = 110
"""Characters of a line's comment and value."""


def scalar(value: Any) -> str:
    """A value as YAML in one line."""
    if isinstance(value, list):
        return "[" + ", ".join(map(scalar, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {scalar(one)}" for key, one in value.items()) + "}"
    if isinstance(value, str) and PLAIN.fullmatch(value) and not value.endswith(" ") and yaml.safe_load(value) == value:
        return value
    return json.dumps(value, ensure_ascii=False)


def name_of(folder: Path, asked: str | None) -> str:
    """The dataset's name: as asked, or the folder's in the letters that names have."""
    if asked is not None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}", asked):
            raise SynthoodError(f"--dataset {printable(asked)}: letters, digits, dots, - and _, at most 60, are a name")
        return asked
    name = re.sub(r"[^A-Za-z0-9]+", "-", folder.resolve().stem).strip("-")[:60]
    return name or "images"


def check_target(file: Path) -> None:
    """Raises SynthoodError where the file is there, or its folder is not, or cannot be written."""
    if file.exists():
        raise SynthoodError(f"{printable(file)}: is there already and is never overwritten; name another by --out")
    if not file.parent.is_dir():
        raise SynthoodError(f"{printable(file.parent)}: no such folder; make it, or name another file by --out")
    if not os.access(file.parent, os.W_OK):
        raise SynthoodError(f"{printable(file.parent)}: cannot be written; name another file by --out")


def relative(path: Path, folder: Path) -> str:
    """A path as a configuration in a folder names it: an absolute one outside of the folder stays as it is."""
    whole, above = Path(os.path.abspath(path)), Path(os.path.abspath(folder))  # noqa: PTH100  links stay as they are
    if path.is_absolute() and not whole.is_relative_to(above):
        return str(whole)
    return os.path.relpath(whole, above)


def write(file: Path, text: str) -> None:
    """Writes the whole file or none; raises SynthoodError where that fails."""
    try:
        with replacing(file) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SynthoodError(f"{printable(file)}: cannot be written ({error.strerror})") from error


def text_of(name: str, file: Path, found: Inspected, choices: Choices, takes: str, overlaps: list[str]) -> str:
    """The configuration; `takes` says how long it runs, `overlaps` are entries of `allow_overlap`."""
    lines = [
        f"# {found.total:,} images of {len(found.classes)} classes in {printable(found.layout.keys['path'])}, "
        f"by `synthood init` of synthood {__version__}.",
        f"#   synthood run {printable(file.name)}",
        f"#   synthood score results/{name}/deploy/detector PHOTOS...",
        f"# {takes}",
        "# `synthood explain KEY` explains a key, for example recipes.epochs; docs/config.md lists all.",
        "version: 2",
        f"build: [{name}]",
        "",
        *_leaks(choices),
        "datasets:",
        f"  {name}:",
        *(f"    {line}" for line in _dataset(file, found, choices, overlaps)),
        "",
        "recipes:",
        *(f"  {line}" for line in _recipe(choices, file)),
        "",
        "detectors:",
        *(f"  {key}: {scalar(keys)}" for key, keys in choices.detectors.items()),
        "",
        "tables:",
        f"  {name}:",
        f"    datasets: [{name}]",
        "    recipes: [classifier]",
        f"    seeds: {scalar(choices.seeds)}" + (f" # {choices.reasons['seeds']}" if choices.reasons["seeds"] else ""),
        f"    detectors: {scalar(list(choices.detectors))}",
        "    baselines: [classifier]",
        *(_deploy(name, choices) if choices.levels else ()),
    ]
    return "\n".join(lines) + "\n"


def _deploy(name: str, choices: Choices) -> Iterator[str]:
    yield ""
    yield "deploy: # one folder that classifies images and rejects unknown ones"
    yield f"  dataset: {name}"
    yield "  recipes: [classifier]"
    yield f"  detector: {choices.detector} # {choices.reasons['detector']}"
    yield f"  seed: {choices.seeds[0]}"
    yield f"  reject_id: {scalar(choices.levels)} # shares of known images that may be rejected, a threshold for each"
    if choices.calibration == "cross":
        yield f"  calibration: cross # {choices.reasons['calibration']}"


def _leaks(choices: Choices) -> Iterator[str]:
    if choices.drop_copies:
        yield "leaks: {drop: true} # some images come twice: tested without those that are in training as well"
    else:
        yield "leaks: {} # looks for images that are in two parts"


def _dataset(file: Path, found: Inspected, choices: Choices, overlaps: list[str]) -> Iterator[str]:
    source = choices.source | {"path": relative(Path(choices.source["path"]), file.parent)}
    yield from (f"# {key}: {choices.reasons[key]}." for key in source if choices.reasons.get(key))
    yield f"id: {scalar(source)}"
    if choices.unknown or choices.held_out:
        yield "near:"
        alike = {
            key: value for key, value in source.items() if key in ("size", "resize", "interpolation", "on_bad_image")
        }
        for word, folder in choices.unknown.items():
            own = {"kind": "folders", "path": relative(folder, file.parent)} | alike
            yield f"  {name_of(Path(word), None)}: {scalar(own)}"
        if choices.held_out:
            yield f"  # {choices.reasons['held_out']}"
            yield f"  held-out: {scalar({'kind': 'held-out-classes', 'classes': choices.held_out})}"
    yield "far: # made in the run; better are folders of real images: {kind: folders, path: ..., size: ...}"
    yield from (f"  {kind}: {scalar({'kind': kind, 'images': choices.ood_images})}" for kind in choices.far)
    yield f"ood_validation: {scalar({'kind': 'shuffled-quadrants', 'images': choices.ood_images})}"
    if choices.levels and choices.calibration == "split":
        yield f"calibration: 0.5 # {choices.reasons['calibration']}"
    if overlaps:
        yield f"allow_overlap: [{', '.join(overlaps)}] # the same pixels in two parts; take one of them away"


def _recipe(choices: Choices, file: Path) -> Iterator[str]:
    recipe = choices.recipe
    if "path" in recipe:
        recipe = recipe | {"path": relative(Path(recipe["path"]), file.parent)}
    if isinstance(weights := recipe["network"].get("pretrained"), str):
        network = recipe["network"] | {"pretrained": relative(Path(weights), file.parent)}
        recipe = recipe | {"network": network}
    yield "classifier:"
    for key, value in recipe.items():
        if why := choices.reasons.get(key):
            yield f"  # {key}: {why}."
        yield f"  {key}: {scalar(value)}"
