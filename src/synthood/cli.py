"""The console script `synthood`: checks and explains configurations, shows, exports and fetches data.

Each command imports what it needs, so that those that only read the schema start fast.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from synthood import __version__
from synthood.errors import SynthoodError
from synthood.serve.options import ServeOptions, flag


def main(command_line: Sequence[str] | None = None) -> None:
    """Runs one subcommand; a user's mistake ends in one sentence and exit code 1."""
    arguments = _parser().parse_args(command_line)
    try:
        arguments.run(arguments)
    except (SynthoodError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="synthood", description="Synthetic data for out-of-distribution detection.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    begun = commands.add_parser("init", help="look at a folder of images and write a configuration for it")
    begun.add_argument("folder", type=Path, help="one folder of images per class, or train, val and test with such")
    begun.add_argument("--out", type=Path, metavar="FILE", help="to write, never overwritten (default: DATASET.yaml)")
    begun.add_argument("--dataset", metavar="NAME", help="its name in the configuration (default: the folder's)")
    begun.add_argument(
        "--held-out", nargs="+", metavar="CLASS", help="that the model must not know; none: it learns all classes"
    )
    begun.add_argument("--size", type=int, metavar="PIXELS", help="side of the images (default: by their median)")
    begun.add_argument("--seed", type=int, default=0, help="of the held-out classes and the first model (default: 0)")
    begun.add_argument("--quick", action="store_true", help="a first answer: few images, few epochs")
    begun.add_argument(
        "--backbone",
        metavar="NAME",
        help="pretrained network: timm/NAME, torchvision/NAME, or a folder of DINOv2 or CLIP; none: from scratch",
    )
    begun.add_argument("--weights", type=Path, metavar="FILE", help="of the backbone (default: its library's)")
    begun.add_argument("--from-model", type=Path, metavar="FILE", help="weights of a trained classifier")
    begun.add_argument("--arch", help="its network: timm/NAME, torchvision/NAME, resnet56, ... (default: by its keys)")
    for channels in ("--mean", "--std"):
        text = "of the colours it was trained on, in [0,1]"
        begun.add_argument(channels, type=float, nargs=3, metavar=("R", "G", "B"), help=text)
    begun.add_argument("--classes", nargs="+", metavar="CLASS", help="all of them in the order of its outputs")
    begun.set_defaults(run=_init)
    started = commands.add_parser("run", help="run the workflow of a configuration, in its folder")
    started.add_argument("config", type=Path)
    started.add_argument("options", nargs=argparse.REMAINDER, help="of Snakemake, such as -n, --cores 4, --profile DIR")
    started.set_defaults(run=_run)
    planned = commands.add_parser("plan", help="foretell jobs, CPU- and GPU-hours, disk and memory; run nothing")
    planned.add_argument("--configfile", type=Path, default=Path("config.yaml"), help="default: config.yaml")
    planned.add_argument(
        "--directory", "-d", type=Path, default=Path(), help="of results and relative paths (default: this one)"
    )
    planned.add_argument(
        "--seconds", type=float, default=60.0, help="of computing to measure; 0: nothing is measured (default: 60)"
    )
    planned.add_argument(
        "--gpu-tflops", type=float, default=10.0, help="10^12 operations a second that a GPU achieves (default: 10)"
    )
    planned.set_defaults(run=_plan)
    parted = commands.add_parser("sources", help="write a small folder, from which jobs run without a shared disk")
    parted.add_argument("config", type=Path)
    parted.add_argument("folder", type=Path, help="new, to run Snakemake in")
    parted.set_defaults(run=_sources)
    page = commands.add_parser("report", help="make the report page of a configuration, and all that it needs")
    page.add_argument("config", type=Path)
    page.add_argument("options", nargs=argparse.REMAINDER, help="of Snakemake")
    page.set_defaults(run=_report)
    check = commands.add_parser("check", help="check configuration files without running anything")
    check.add_argument("files", type=Path, nargs="*", default=[Path("config.yaml")])
    check.add_argument("--data", action="store_true", help="read the images and checkpoints too; nothing is written")
    check.add_argument("--upgrade", action="store_true", help="first rewrite the files to version 2, in place")
    check.set_defaults(run=_check)
    moved = commands.add_parser("migrate", help="keep results that were finished under version 1 of the configuration")
    moved.add_argument("results", type=Path, nargs="?", default=Path("results"), help="default: results")
    moved.add_argument("--accept-code", action="store_true", help="also where other code of synthood made them")
    moved.set_defaults(run=_migrate)
    schema = commands.add_parser("schema", help="print the JSON schema of configuration files")
    schema.add_argument("--markdown", action="store_true", help="print the table of all keys instead (docs/config.md)")
    schema.set_defaults(run=_schema)
    explain = commands.add_parser("explain", help="print what a key of the configuration means")
    explain.add_argument("key", help="for example detectors.knn.k or recipes.synthetic.alpha")
    explain.set_defaults(run=_explain)
    listed = commands.add_parser("list", help="print the names that a configuration can choose from")
    listed.add_argument("family", help="detectors, losses, generators, ...; a wrong word lists all")
    listed.set_defaults(run=_list)
    entry = commands.add_parser("show", help="print an entry of a configuration with its defaults")
    entry.add_argument("kind", help="dataset, generator, outliers, recipe, detector or table")
    entry.add_argument("name")
    entry.add_argument("config", type=Path, nargs="?", default=Path("config.yaml"))
    entry.set_defaults(run=_show)
    fetched = commands.add_parser("fetch", help="download public data, or say where it may be had")
    what = fetched.add_mutually_exclusive_group(required=True)
    what.add_argument("--dataset", metavar="NAME", help="a public data set, such as cifar10; a wrong name lists all")
    what.add_argument("--config", type=Path, help="whatever this configuration names and is not there")
    fetched.add_argument("--to", type=Path, default=Path("data"), help="folder that it is put into (default: data)")
    fetched.set_defaults(run=_fetch)
    scored = commands.add_parser("score", help="classify images by an exported detector, and reject unknown ones")
    scored.add_argument("folder", type=Path, help="an exported detector")
    scored.add_argument("images", nargs="+", help="files, folders, or - for names on standard input, one a line")
    scored.add_argument("--format", choices=["csv", "jsonl", "parquet"], default="csv")
    scored.add_argument("--output", type=Path, help="file to write (default: standard output)")
    scored.add_argument(
        "--level", type=float, help="exported share of known images that may be rejected (default: 5 %%)"
    )
    scored.add_argument("--resume", action="store_true", help="go on where an earlier run with this output was stopped")
    scored.add_argument("--fail-on-ood", action="store_true", help="exit code 3 where an image is unknown")
    scored.add_argument("--copy-unknown", type=Path, metavar="DIR", help="copy unknown images there")
    scored.add_argument("--shards", metavar="I/N", default="1/1", help="score part I of N of the images alone")
    scored.add_argument(
        "--threads",
        type=int,
        help="that decode images and run the network (default: all cores)",
    )
    scored.add_argument("--device", default="cpu", help="such as cuda (default: cpu)")
    scored.set_defaults(run=_score)
    tabulated = commands.add_parser("tabulate", help="make tables from features and logits of your own")
    tabulated.add_argument("file", type=Path, help="a YAML file with `kind: features` (docs/detectors.md)")
    tabulated.add_argument("--out", type=Path, default=Path("tables"), metavar="DIR", help="default: tables")
    tabulated.set_defaults(run=_tabulate)
    evaluated = commands.add_parser("evaluate", help="measure an exported detector on images of your own")
    evaluated.add_argument("folder", type=Path, help="an exported detector")
    evaluated.add_argument("--id", type=Path, required=True, metavar="DIR", help="known images, best by class folders")
    evaluated.add_argument("--ood", type=Path, nargs="*", default=[], metavar="DIR", help="unknown images")
    evaluated.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    evaluated.add_argument("--device", default="cpu", help="such as cuda (default: cpu)")
    evaluated.set_defaults(run=_evaluate)
    watched = commands.add_parser(
        "monitor", help="scores over time against what an exported detector promises; exit code 3 is an alarm"
    )
    watched.add_argument("folder", type=Path, help="an exported detector")
    watched.add_argument("scores", type=Path, nargs="+", help="files that `score` wrote, .csv, .jsonl or .parquet")
    watched.add_argument("--time", metavar="COLUMN", help="of the files, with times, or with --by batch the batch")
    watched.add_argument("--by", choices=["hour", "day", "week", "batch"], default="day", help="period (default: day)")
    watched.add_argument("--zone", default="UTC", help="of days, and of times that name none (default: UTC)")
    watched.add_argument("--start", metavar="TIME", help="leave out what is earlier, such as after an alarm")
    watched.add_argument(
        "--baseline", type=int, default=0, metavar="N", help="compare with the first N periods, not the calibration"
    )
    watched.add_argument("--level", type=float, help="exported share that may be rejected (default: 5 %%)")
    watched.add_argument("--alpha", type=float, default=0.05, help="chance of any false alarm (default: 0.05)")
    watched.add_argument(
        "--alert",
        nargs="+",
        metavar="TEST",
        default=["rate", "lower", "changed"],
        help="tests that raise alarms: rate, lower, changed, classes (default: the first three)",
    )
    watched.add_argument(
        "--images", type=int, default=20, metavar="N", help="least typical images listed (default: 20)"
    )
    watched.add_argument("--output", type=Path, metavar="DIR", help="write tables and monitor.html there")
    watched.set_defaults(run=_monitor)
    as_onnx = commands.add_parser("export-onnx", help="add detector.onnx to an exported detector")
    as_onnx.add_argument("folder", type=Path, help="an exported detector")
    as_onnx.set_defaults(run=_export_onnx)
    served = commands.add_parser("serve", help="answer over HTTP, with a web page, by an exported detector")
    served.add_argument("folder", type=Path, help="an exported detector")
    for setting in fields(ServeOptions):
        unit, text, default = setting.metadata["unit"], setting.metadata["help"], setting.default
        if isinstance(default, tuple):
            served.add_argument(flag(setting.name), nargs="+", default=default, metavar=unit, help=text)
        else:
            text += f" (default: {default})"
            served.add_argument(flag(setting.name), type=type(default), default=default, metavar=unit, help=text)
    served.set_defaults(run=_serve)
    data = commands.add_parser("data", help="images of a run").add_subparsers(dest="action", required=True)
    shown = data.add_parser("show", help="table of a folder: parts, counts, classes, sizes, SHA-256")
    shown.add_argument("folder", type=Path, help="for example results/cifar10/images")
    shown.set_defaults(run=_show_data)
    exported = data.add_parser("export", help="one .npz file of a part, or of all that a generator made")
    exported.add_argument("source", type=Path, help="for example results/cifar10/synthetic/biggan")
    exported.add_argument("target", type=Path, help="with images, labels and classes, as `kind: ready-made` reads them")
    exported.set_defaults(run=_export)
    checkpoint = commands.add_parser("checkpoint", help="files of weights").add_subparsers(dest="action", required=True)
    of_file = checkpoint.add_parser("show", help="entries, keys, classes and the likely network of a checkpoint")
    of_file.add_argument("file", type=Path, help="a file of torch (.pt, .pth, .ckpt, .bin) or of safetensors")
    of_file.set_defaults(run=_show_checkpoint)
    return parser


def _init(arguments: argparse.Namespace) -> None:
    from synthood.init.start import InitOptions, init

    given = vars(arguments)
    for line in init(arguments.folder, InitOptions(**{key: given[key] for key in InitOptions.__dataclass_fields__})):
        print(line, flush=True)


def _run(arguments: argparse.Namespace) -> None:
    from synthood.workflow.run import run

    sys.exit(run(arguments.config, arguments.options))


def _plan(arguments: argparse.Namespace) -> None:
    from synthood.forecast.plan import of_this_machine, plan

    basis = of_this_machine(arguments.seconds, arguments.gpu_tflops)
    print(plan(arguments.configfile, arguments.directory, basis))


def _sources(arguments: argparse.Namespace) -> None:
    from synthood.workflow.run import workflow_folder
    from synthood.workflow.storage import write_sources

    files = write_sources(workflow_folder(), arguments.config, arguments.folder)
    print(f"{arguments.folder}: {len(files)} files; run Snakemake there (docs/storage.md)")


def _report(arguments: argparse.Namespace) -> None:
    from synthood.workflow.run import run

    sys.exit(run(arguments.config, ["report", *arguments.options]))


def _tabulate(arguments: argparse.Namespace) -> None:
    from synthood.tables import read_table, tabulate_features

    table = arguments.out / "table.md"
    before = table.read_text(encoding="utf-8") if table.is_file() else None
    tabulate_features(read_table(arguments.file), arguments.out)
    text = table.read_text(encoding="utf-8")
    if before not in (None, text):
        print(f"{arguments.out}: another table was there and is replaced; `--out DIR` keeps both", file=sys.stderr)
    print(text, end="")


def _check(arguments: argparse.Namespace) -> None:
    from synthood.config.upgrade import upgrade

    for file in arguments.files:
        if arguments.upgrade:
            edits = upgrade(file)
            lines = [f"{file}, line {one.line}: {one.place}: {one.old} -> {one.new}" for one in edits]
            print(*lines, f"{file}: {'rewritten to' if edits else 'is of'} version 2", sep="\n")
        check_file(file, arguments.data)


def _migrate(arguments: argparse.Namespace) -> None:
    from synthood.workflow.migrate import migrate

    done = migrate(arguments.results, arguments.accept_code)
    lines = [f"{output}: record updated" for output in done.updated]
    lines += [f"{output}: left alone: {why}" for output, why in done.left.items()]
    if done.other_code:
        lines.append(
            f"{len(done.other_code)} results are of other code than this version's and will be made again, for example "
            f"{done.other_code[0]}; where only names changed, `synthood migrate {arguments.results} --accept-code` "
            "keeps them"
        )
    print(*lines, f"{arguments.results}: {len(done.updated)} records updated, {len(done.left)} left alone", sep="\n")


def _schema(arguments: argparse.Namespace) -> None:
    from synthood.config.reference import markdown
    from synthood.config.schema import json_schema

    print(markdown() if arguments.markdown else json_schema(), end="")


def _explain(arguments: argparse.Namespace) -> None:
    from synthood.config.explain import explain

    print(explain(arguments.key))


def _list(arguments: argparse.Namespace) -> None:
    from synthood.config.listing import listing

    print(listing(arguments.family))


def _show(arguments: argparse.Namespace) -> None:
    from synthood.config.show import resolved_entry

    print(resolved_entry(arguments.kind, arguments.name, arguments.config), end="")


def _fetch(arguments: argparse.Namespace) -> None:
    from synthood.config.load import load_file
    from synthood.data.public.fetch import fetch, fetch_all, registry
    from synthood.data.public.wanted import wanted

    if arguments.config:
        print(fetch_all(wanted(load_file(arguments.config).datasets.values()), registry()))
    else:
        print(fetch(arguments.dataset, arguments.to, registry()))


def _show_data(arguments: argparse.Namespace) -> None:
    from synthood.data.show import show

    print(show(arguments.folder))


def _export(arguments: argparse.Namespace) -> None:
    from synthood.data.export import export

    made = export(arguments.source, arguments.target)
    print(f"{arguments.target}: {len(made)} images of {len(made.classes)} classes")


def _show_checkpoint(arguments: argparse.Namespace) -> None:
    from synthood.training.networks.inspect import shown

    print(shown(arguments.file))


def _score(arguments: argparse.Namespace) -> None:
    from synthood.deploy.score import ScoreOptions, score

    given = vars(arguments)
    options = {name: given[name] for name in ScoreOptions.__dataclass_fields__ if name in given}
    chosen = ScoreOptions(form=arguments.format, shard=arguments.shards, **options)
    sys.exit(score(arguments.folder, arguments.images, chosen))


def _evaluate(arguments: argparse.Namespace) -> None:
    from synthood.deploy.evaluate import evaluate

    print(evaluate(arguments.folder, arguments.id, arguments.ood, arguments.json, arguments.device))


def _serve(arguments: argparse.Namespace) -> None:
    chosen = {one.name: getattr(arguments, one.name) for one in fields(ServeOptions)}
    options = ServeOptions(**chosen | {"allow_origin": tuple(arguments.allow_origin)})
    try:
        from synthood.serve.server import serve
    except ModuleNotFoundError as error:
        raise SynthoodError(f"serve: {error.name} is not installed; pip install 'synthood[serve]'") from error
    serve(arguments.folder, options)


def _monitor(arguments: argparse.Namespace) -> None:
    from synthood.monitor.monitor import MonitorOptions, monitor

    given = vars(arguments)
    options = MonitorOptions(**{name: given[name] for name in MonitorOptions.__dataclass_fields__})
    code, text = monitor(arguments.folder, arguments.scores, options)
    print(text)
    sys.exit(code)


def _export_onnx(arguments: argparse.Namespace) -> None:
    from synthood.deploy.onnx import add_to
    from synthood.deploy.onnx_detector import ONNX

    print(f"{arguments.folder / ONNX}: {add_to(arguments.folder)}")


def check_file(file: Path, data: bool) -> None:
    """Raises SynthoodError with all that is wrong with a configuration, and with the files that it names."""
    from synthood.config.load import load_file
    from synthood.config.upgrade import notes
    from synthood.workflow.plausible import fetchable, impossible

    config = load_file(file)
    for note in notes(file):
        print(note)
    faults = list(map(str, impossible(config)))
    if data:
        from synthood.workflow.data_check import check_data
        from synthood.workflow.plan import Plan

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
