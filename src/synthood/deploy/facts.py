"""`detector.json` of an exported folder, read without the libraries that the detector needs."""

import json
import warnings
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from synthood import __version__
from synthood.common.artefact import verify
from synthood.errors import SynthoodError

FORMAT = 2
"""Of `detector.json`; raised where an older version would misread it. Since 2, `fitted.RESCALED` give logs."""
SETTINGS = "detector.json"
DETECTOR = "synthood-detector"
"""Key of the metadata of scores in Parquet: SHA-256 of the manifest of the detector that scored."""
Facts = dict[str, Any]


def versions() -> dict[str, str]:
    """Of what scores may depend on; Pillow resizes images."""
    return {"synthood": __version__, **{name: metadata.version(name) for name in ("torch", "numpy", "pillow")}}


def read_facts(folder: Path, stage: str) -> Facts:
    """`detector.json` of a folder that is whole and unchanged; raises SynthoodError elsewhere."""
    if not (folder / SETTINGS).is_file():
        raise SynthoodError(f"{folder}: no {SETTINGS} in it; give a folder that {stage} wrote")
    facts: Facts = json.loads((folder / SETTINGS).read_text(errors="replace")) if _is_json(folder) else {}
    version, newest = facts.get("format", 0), facts.get("versions", {}).get("synthood", "?")
    if isinstance(version, int) and version > FORMAT:
        raise SynthoodError(
            f"{folder}: of format {version}, written by synthood {newest}; this version reads up to {FORMAT}; update it"
        )
    verify(folder, ours=True)
    warn_of_versions(folder, facts.get("versions", {}))
    return facts


def warn_of_versions(folder: Path, recorded: Mapping[str, str]) -> None:
    """A UserWarning where other versions wrote the folder: nothing says that they give the same scores."""
    differ = [
        f"{name} {recorded[name]} (here {here})"
        for name, here in versions().items()
        if recorded.get(name, here) != here
    ]
    if differ:
        what = f"{folder}: written with {', '.join(differ)}"
        warnings.warn(f"{what}; scores may differ slightly, so check the false alarms again", stacklevel=3)


def _is_json(folder: Path) -> bool:
    try:
        return isinstance(json.loads((folder / SETTINGS).read_text(errors="replace")), dict)
    except ValueError:
        return False
