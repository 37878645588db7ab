"""The console script `synthood`: checks a configuration, writes its schema, shows, exports and fetches data."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from synthood import __version__
from synthood.config.load import load_file
from synthood.config.schema import json_schema
from synthood.data.export import export
from synthood.data.public.fetch import fetch, fetch_all, registry
from synthood.data.public.wanted import wanted
from synthood.data.show import show
from synthood.errors import SynthoodError
from synthood.workflow.plan import Plan
from synthood.workflow.plausible import fetchable, impossible


def main(command_line: Sequence[str] | None = None) -> None:
    """Runs one subcommand; a user's mistake ends in one sentence and exit code 1."""
    parser = argparse.ArgumentParser(prog="synthood", description="Synthetic data for out-of-distribution detection.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help="check configuration files without running anything")
    check.add_argument("files", type=Path, nargs="*", default=[Path("config.yaml")])
    check.add_argument("--data", action="store_true", help="read the images and checkpoints too; nothing is written")
    commands.add_parser("schema", help="print the JSON schema of configuration files")
    fetched = commands.add_parser("fetch", help="download public data, or say where it may be had")
    what = fetched.add_mutually_exclusive_group(required=True)
    what.add_argument("--dataset", metavar="NAME", help=", ".join(registry()))
    what.add_argument("--config", type=Path, help="whatever this configuration names and is not there")
    fetched.add_argument("--to", type=Path, default=Path("data"), help="folder that it is put into (default: data)")
    data = commands.add_parser("data", help="images of a run").add_subparsers(dest="action", required=True)
    shown = data.add_parser("show", help="table of a folder: parts, counts, classes, sizes, SHA-256")
    shown.add_argument("folder", type=Path, help="for example results/cifar10/images")
    exported = data.add_parser("export", help="one .npz file of a part, or of all that a generator made")
    exported.add_argument("source", type=Path, help="for example results/cifar10/synthetic/biggan")
    exported.add_argument("target", type=Path, help="with images, labels and classes, as `kind: ready-made` reads them")
    checkpoint = commands.add_parser("checkpoint", help="files of weights").add_subparsers(dest="action", required=True)
    of_file = checkpoint.add_parser("show", help="entries, keys, classes and the likely network of a checkpoint")
    of_file.add_argument("file", type=Path, help="a file of torch (.pt, .pth, .ckpt, .bin) or of safetensors")
    arguments = parser.parse_args(command_line)
    try:
        if arguments.command == "schema":
            print(json_schema(), end="")
            return
        if arguments.command == "checkpoint":
            from synthood.training.networks.inspect import shown as checkpoint_shown  # torch, for this command alone

            print(checkpoint_shown(arguments.file))
            return
        if arguments.command == "data" and arguments.action == "export":
            made = export(arguments.source, arguments.target)
            print(f"{arguments.target}: {len(made)} images of {len(made.classes)} classes")
            return
        if arguments.command == "data":
            print(show(arguments.folder))
            return
        if arguments.command == "fetch" and arguments.config:
            print(fetch_all(wanted(load_file(arguments.config).datasets.values()), registry()))
            return
        if arguments.command == "fetch":
            print(fetch(arguments.dataset, arguments.to, registry()))
            return
        for file in arguments.files:
            check_file(file, arguments.data)
    except (SynthoodError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


def check_file(file: Path, data: bool) -> None:
    """Raises SynthoodError with all that is wrong with a configuration, and with the files that it names."""
    config = load_file(file)
    faults = list(map(str, impossible(config)))
    if data:
        from synthood.workflow.data_check import check_data

        found = check_data(Plan(config))
        print(*found.lines, *(f"warning: {warning}" for warning in found.warnings), sep="\n")
        faults += found.faults
    if faults:
        raise SynthoodError("\n".join(f"{file}: {fault}" for fault in faults))
    for one in fetchable(config):
        print(f"{file}: {one} is not there yet; `synthood fetch --config {file}` gets it")
    print(f"{file}: valid; tables {', '.join(config.tables)}, recipes {', '.join(config.recipes)}")


if __name__ == "__main__":
    main()
