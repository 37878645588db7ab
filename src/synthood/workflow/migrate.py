"""Finished results of version 1 under version 2: Snakemake's records of their jobs' settings get the new names.

The artefacts stay as they are, with the settings in their identity that made them.
"""

import ast
import importlib
import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synthood.common.artefact import replacing
from synthood.common.settings import Settings, canonical_json
from synthood.config.renames import renamed
from synthood.errors import SynthoodError
from synthood.plugins import plugins_in
from synthood.workflow.code import START, code_of, code_of_plugin

SECTIONS = {
    "synthood.data.prepare": dict.fromkeys(("source", "validation", "taught"), "datasets.*.id"),
    "synthood.generators.fit_generator": {"generator": "generators.*"},
    "synthood.generators.filter": {"filter": "generators.*.filter"},
    "synthood.generators.assess": {"": "assess"},
    "synthood.outliers.boundary": {"": "outliers.*.boundary"},
    "synthood.outliers.gate": {"": "outliers.*.gate"},
    "synthood.training.train": {"recipe": "recipes.*"},
    "synthood.training.import_checkpoint": {"": "recipes.*"},
    "synthood.evaluation.extract": {"heads": "recipes.*"},
    "synthood.reporting.tabulate": {"table": "tables.*"},
    "synthood.reporting.plot": {"": "tables.*"},
    "synthood.reporting.plot_results": {"": "tables.*"},
    "synthood.reporting.report_page": {"tables": "tables"},
}
"""Sections of the configuration in the settings of a stage's jobs, by their key there; empty: the settings are one."""
OLD_START = "python -m"
"""What a stage's command began with in earlier versions."""
COMMAND = re.compile(rf"SYNTHOOD_CODE=(\w+) .*?(?:{OLD_START}|{re.escape(START)}) (synthood[\w.]+) ")
FORMAT = 6
"""Version of Snakemake's records, since which they hold all parameters of a job."""


@dataclass
class Migration:
    """Outputs by what was done with their records."""

    updated: list[str] = field(default_factory=list)
    other_code: list[str] = field(default_factory=list)
    """Made by other code than this version's, which is not accepted."""
    left: dict[str, str] = field(default_factory=dict)
    """Why a record stays as it is."""


def migrate(results: Path, accept_code: bool = False) -> Migration:
    """Rewrites the records of outputs below a folder of results, one at a time, each whole or not at all.

    A record changes only where its settings, once renamed, are canonical settings of the stage. With `accept_code` the
    digests of code in it become this version's, but for those of files outside the package.

    Raises SynthoodError where there are no records, or Snakemake works on them.
    """
    state = results.absolute().parent / ".snakemake"
    if not (results.is_dir() and (state / "metadata").is_dir()):
        raise SynthoodError(f"{results}: no results of Snakemake, whose records would be in {state / 'metadata'}")
    if any((state / "locks").glob("*.lock")):
        raise SynthoodError(f"{state}: locked; let Snakemake finish, or run `snakemake --unlock` after a crash")
    done = Migration()
    for output, path in _records(state / "metadata", results.name):
        try:
            record = json.loads(path.read_text())
        except ValueError:
            done.left[output] = "its record is no JSON"
            continue
        if (new := _migrated(output, record, accept_code, done)) not in (None, record):
            done.updated.append(output)
            with replacing(path) as temporary:
                temporary.write_text(json.dumps(new))
                temporary.chmod(path.stat().st_mode)
    return done


def _records(folder: Path, results: str) -> Iterator[tuple[str, Path]]:
    """Outputs below the folder of results, and their records: the name in base64, a long one in several folders."""
    for path in sorted(file for file in folder.rglob("*") if file.is_file() and not file.name.endswith(".tmp")):
        name = "".join(part.removeprefix("@") for part in path.relative_to(folder).parts)
        output = urlsafe_b64decode(name).decode()
        if output.startswith(f"{results}/"):
            yield output, path


def _migrated(output: str, record: dict[str, Any], accept_code: bool, done: Migration) -> dict[str, Any] | None:
    """The record under version 2; None where it is not understood."""
    command = COMMAND.search(record.get("code") or "")
    if not command or record.get("record_format_version") != FORMAT:
        done.left[output] = "its record is of no stage, or of an older Snakemake"
        return None
    code, module = command.groups()
    try:
        settings = _settings_of(module)
        texts = {entry: ast.literal_eval(entry) for entry in record["params"] if entry.startswith("'{")}
        jobs = {entry: _renamed(module, settings, text) for entry, text in texts.items()}
    except (ImportError, ValueError, SynthoodError) as error:  # pydantic's are ValueErrors
        done.left[output] = f"its settings are not those of this version ({' '.join(str(error).split())})"
        return None
    current = f"SYNTHOOD_CODE={code_of(module)}"
    text = record["code"]
    if accept_code:
        jobs = {entry: value | _codes(settings, value) for entry, value in jobs.items()}
        text = text.replace(f"SYNTHOOD_CODE={code}", current).replace(f"{OLD_START} {module}", f"{START} {module}")
    if current not in text or any(value | _codes(settings, value) != value for value in jobs.values()):
        done.other_code.append(output)
    params = sorted(repr(canonical_json(jobs[entry])) if entry in jobs else entry for entry in record["params"])
    return record | {"params": params, "code": text}


def _settings_of(module: str) -> type[Settings]:
    parameters = importlib.import_module(module).main.command.parameters
    return parameters["settings"].kind if "settings" in parameters else Settings


def _renamed(module: str, settings: type[Settings], text: str) -> dict[str, Any]:
    """A job's settings by the new names; ValueError where they are not what the stage would be given."""
    value: dict[str, Any] = json.loads(text)
    for key, section in SECTIONS.get(module, {}).items():
        path = tuple(section.split("."))
        if not key:
            value = renamed(value, path)
        elif key in value:
            value[key] = renamed(value[key], path)
    if settings.parse(json.dumps(value)).canonical() != canonical_json(value):
        raise ValueError("a default has changed since")
    return value


def _codes(settings: type[Settings], job: dict[str, Any]) -> dict[str, Any]:
    """The digests of a job's plug-ins in this version; those with files of the user keep the recorded one, if any."""
    recorded = job.get("code", {})
    codes = {}
    for place, plugin in plugins_in(settings.parse(json.dumps(job))):
        if not plugin.files():
            codes[place] = code_of_plugin(plugin)
        elif place in recorded:
            codes[place] = recorded[place]
    return {"code": codes} if codes else {}
