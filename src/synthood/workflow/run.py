"""`synthood run CONFIG`: the workflow in the configuration's folder, with readable output and a closing summary."""

import argparse
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import synthood
from synthood.errors import SynthoodError, printable
from synthood.workflow.run_log import LogHandler, Run, duration

PACKAGE = Path(synthood.__file__).parent
CARD = "README.html"
INTERRUPTED = 130
"""The exit code of a command that Ctrl-C ended."""
SHOWN = 8
"""Detectors and recipes in the summary of a table."""


def workflow_folder() -> Path:
    """The folder with Snakefile, rules and profiles: of a checkout, or that in an installed package."""
    places = [PACKAGE.parents[1], PACKAGE / "workflow" / "files"]
    folder = next((place for place in places if (place / "Snakefile").is_file()), None)
    if folder is None:
        raise SynthoodError(f"{places[1]}: the package's workflow files are missing; install synthood again")
    return folder


def run(config: Path, options: Sequence[str]) -> int:
    """Runs Snakemake with its own options besides; returns its exit code.

    Paths in the configuration, and results, are relative to its folder, unless `--directory` names another. Raises
    SynthoodError at a missing configuration.
    """
    if not config.is_file():
        raise SynthoodError(f"{config}: no such file; `synthood run CONFIG` needs a configuration")
    folder, defaults = _defaults(config.resolve(), options)
    began = time.monotonic()
    code, logged = _snakemake([*defaults, *options])
    if logged is not None and logged.total:
        print(*_summary(config, folder, logged, code, duration(time.monotonic() - began)), sep="\n")
    return code


def _defaults(config: Path, options: Sequence[str]) -> tuple[Path, list[str]]:
    """The folder of the run, and the options of Snakemake that the user did not give."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--directory", "-d", type=Path)
    for parallel in (("--cores", "-c"), ("--jobs", "-j"), ("--executor", "-e"), ("--profile",)):
        parser.add_argument(*parallel, dest="parallel", nargs="?", const="")
    given = parser.parse_known_args(list(options))[0]
    # Options of several values come first, so that they take no target.
    defaults = ["--logger", "synthood", "--configfile", str(config)]
    defaults += ["--snakefile", str(workflow_folder() / "Snakefile")]
    if given.parallel is None:
        defaults += ["--cores", "all"]
    if given.directory is None:
        defaults += ["--directory", str(config.parent)]
    return given.directory or config.parent, defaults


def _snakemake(command: list[str]) -> tuple[int, Run | None]:
    """Exit code, and what was logged of a run that was more than a plan."""
    from snakemake.cli import main
    from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry

    LoggerPluginRegistry().register_plugin("synthood", sys.modules[LogHandler.__module__])
    try:
        _check_options(command)
        main(command)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except KeyboardInterrupt:
        code = INTERRUPTED
    handler = LogHandler.latest
    return code, None if handler is None or handler.common_settings.dryrun else handler.run


def _check_options(command: list[str]) -> None:
    """Raises SynthoodError at a wrong option, before which Snakemake would print all that it has."""
    from snakemake.cli import get_argument_parser

    def refuse(message: str) -> NoReturn:
        raise SynthoodError(f"{printable(message)}; `snakemake --help` lists its options")

    parser = get_argument_parser()
    parser.error = refuse
    try:
        parser.parse_args(command)
    except SynthoodError:
        raise
    except Exception:  # whatever Snakemake's own types raise at a value, which it refuses in one line
        return


def _summary(config: Path, folder: Path, logged: Run, code: int, took: str) -> Iterator[str]:
    if code:
        yield f"\n{logged.done} of {logged.total} jobs finished in {took}; the same command goes on with the others"
        return
    yield f"\n{logged.done} job{'s' * (logged.done != 1)} finished in {took}"
    from synthood.config.load import load_file
    from synthood.workflow.plan import artefacts as at

    loaded = load_file(config)
    for table in loaded.build:
        page = folder / at.TABLE_HTML.format(table=table)
        if page.exists():
            yield from _results(folder / at.TABLE.format(table=table))
            yield f"{table}: {page}"
    if (page := folder / at.REPORT_PAGE).exists():
        yield f"\nreport: {page}"
    if loaded.deploy is not None:
        yield from _detector(folder / at.DEPLOYED.format(dataset=loaded.deploy.dataset))


def _detector(place: Path) -> Iterator[str]:
    """Where the exported detector is, its card, and the command that uses it; nothing where it was not asked for."""
    if place.is_dir():
        quoted = shlex.quote(str(place))
        yield f"\ndetector: {place} (card: {place / CARD})"
        yield f"  synthood score {quoted} IMAGES"


def _results(table: Path) -> Iterator[str]:
    """Mean AUROC near and far of each recipe, in percent as the file has it, for the first detectors of a table."""
    from synthood.reporting.results import KEYS, read_csv

    rows = read_csv(table, [*KEYS, "mean"])
    rows = rows[(rows["metric"] == "auroc") & rows["set"].isin(["near", "far"])]
    for (dataset, part), of in rows.groupby(["dataset", "set"], sort=False):
        cells = of.drop_duplicates(["recipe", "detector"]).pivot(index="recipe", columns="detector", values="mean")
        cells = cells.loc[of["recipe"].unique()[:SHOWN], of["detector"].unique()[:SHOWN]]
        yield f"\nAUROC in %, mean over {part} sets, {dataset}"
        yield cells.rename_axis(index=None, columns=None).to_string(float_format="%.1f", na_rep="–")
