"""`synthood monitor`: scored images of a running detector against its promise, period by period."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from synthood.common.artefact import replacing
from synthood.common.identity import MANIFEST, sha256
from synthood.deploy.calibration import Calibration
from synthood.deploy.facts import read_facts
from synthood.errors import SynthoodError, nearest, printable
from synthood.monitor import times
from synthood.monitor.page import page
from synthood.monitor.periods import ALERT, TESTS, WINDOW, Judgement, Period, class_table, judge, table
from synthood.monitor.reference import Baseline, Calibrated, Reference
from synthood.monitor.scores import check_detector, read, text

ALARM = 3
"""Exit code where a period raises an alarm; 0 where none does, 1 after an error."""
By = Literal["hour", "day", "week", "batch"]


@dataclass(frozen=True)
class MonitorOptions:
    """What the command line says apart from folder and files."""

    time: str | None = None
    by: By = "day"
    zone: str = "UTC"
    start: str | None = None
    baseline: int = 0
    level: float | None = None
    alpha: float = 0.05
    alert: Sequence[str] = ALERT
    images: int = 20
    output: Path | None = None


@dataclass(frozen=True)
class Monitored:
    """What was found: the tables of periods, of classes and of the least typical images, and sentences."""

    judgement: Judgement
    periods: pd.DataFrame
    classes: pd.DataFrame
    images: pd.DataFrame
    level: float
    notes: list[str]

    @property
    def verdict(self) -> str:
        """Whether there is an alarm, in a sentence."""
        found, names = self.judgement, [one.name for one in self.judgement.periods]
        if not found.alarms:
            return f"No alarm in {len(names)} {plural(len(names), 'period')}."
        first, began = found.alarms[0], found.began()
        since = "" if began is None else f" The drift most likely began with {names[began]}."
        count = f"{len(found.alarms)} of {len(names)} periods"
        return f"Alarm in {count}, first in {names[first]}: {found.reason(first)}.{since}"


def monitor(folder: Path, files: Sequence[Path], options: MonitorOptions) -> tuple[int, str]:
    """The exit code and a summary; tables and a page are written to `options.output`.

    Raises SynthoodError for scores of another detector, what is no table of scores, and options without an effect.
    """
    check(options)
    facts = read_facts(folder, "export")
    if "calibration" not in facts:
        raise SynthoodError(f"{folder}: a fitted detector without a model; give a folder that export wrote")
    found = monitored(files, facts, sha256(folder / MANIFEST), options)
    if options.output is not None:
        write(options.output, found, facts, options)
    lines = [found.verdict, *(f"note: {note}" for note in found.notes)]
    return (ALARM if found.judgement.alarms else 0), "\n".join(lines)


def check(options: MonitorOptions) -> None:
    if options.by != "batch" and options.time is None:
        raise SynthoodError("monitor: name the column of times by --time, or take each file as one batch by --by batch")
    if options.by == "batch" and options.start is not None:
        raise SynthoodError("monitor: --start goes with --by hour, day or week")
    if not 0 < options.alpha < 1:
        raise SynthoodError(f"--alpha {options.alpha:g}: expected a chance between 0 and 1, such as 0.05")
    if options.baseline < 0 or options.images < 0:
        raise SynthoodError("monitor: --baseline and --images are numbers from 0 on")
    if wrong := [name for name in options.alert if name not in TESTS]:
        raise SynthoodError(f"--alert {printable(wrong[0])}: no such test{nearest(wrong[0], TESTS)}")
    if not options.alert or len(set(options.alert)) < len(options.alert):
        raise SynthoodError("monitor: --alert names one test or more, each once")


def monitored(files: Sequence[Path], facts: dict[str, Any], digest: str, options: MonitorOptions) -> Monitored:
    """Of files scored by the exported detector with these facts, whose manifest has the SHA-256 `digest`."""
    calibration, classes = Calibration.read(facts["calibration"]), list(facts["classes"])
    level = calibration.level(options.level)
    if calibration.fold_count > 1 and not options.baseline:
        raise SynthoodError(
            "monitor: this detector was calibrated by folds, and no new image's confidence compares with those of the "
            "calibration images; give --baseline N, the number of first periods to compare with"
        )
    scores = read(files, options.time, classes)
    check_detector(files, scores, calibration, digest)
    rows, notes = (batches if options.by == "batch" else timed)(scores.rows, options)
    if bad := int((~rows["readable"]).sum()):
        reasons = rows.loc[~rows["readable"], "error"].value_counts()
        most = f", most often: {printable(reasons.index[0], 80)!r}" if reasons.index[0] else ""
        notes.append(f"{bad} of {len(rows)} {plural(len(rows), 'image')} not readable{most}")
    periods = cut(rows)
    reference: Reference = Calibrated(calibration, level)
    if options.baseline:
        reference = baseline(periods, options, level, len(classes))
    judgement = judge(
        periods, reference, level, options.alert, options.alpha, WINDOW[options.by], first=options.baseline
    )
    good = rows[rows["readable"]]
    if good.empty:
        raise SynthoodError(f"monitor: none of {len(rows)} images was readable; nothing can be compared")
    columns = ["path", "name", "moment", "label", "p_value", "confidence"]
    images = good.sort_values(["p_value", "confidence"], kind="stable")[columns].head(options.images)
    images = images.rename(columns={"name": "period", "moment": "time"})
    every = [*scores.notes, *notes]
    return Monitored(judgement, table(judgement), class_table(judgement, classes), images, level, every)


def timed(rows: pd.DataFrame, options: MonitorOptions) -> tuple[pd.DataFrame, list[str]]:
    """Rows with a time, with `name` and `place` of their period, in order of time."""
    unit = options.by
    assert unit != "batch"
    moments, notes = times.local(rows["time"], options.zone, str(options.time))
    rows = rows.assign(moment=moments)[moments.notna()]
    if options.start is not None:
        beginning = times.local(pd.Series([options.start], dtype=object), options.zone, "start")[0].iloc[0]
        early = rows["moment"] < beginning
        if early.all():
            raise SynthoodError(f"--start {printable(options.start)}: all {len(rows)} rows are earlier")
        if early.any():
            notes.append(f"{int(early.sum())} rows before --start {options.start}: left out")
        rows = rows[~early]
    starts = times.start_of(rows["moment"], unit)
    known = sorted(starts.unique())
    notes += times.empty(known, unit)
    names = {start: times.named(start, unit) for start in known}
    places = {start: (start - known[0]) / times.STEP[unit] for start in known}
    return rows.assign(name=starts.map(names), place=starts.map(places)).sort_values("moment", kind="stable"), notes


def batches(rows: pd.DataFrame, options: MonitorOptions) -> tuple[pd.DataFrame, list[str]]:
    """Rows with the batch as `name` and `place`: the value of the column, or else the file, as they come."""
    if options.time is None:
        stems = {file: Path(file).stem for file in rows["file"].unique()}
        names = rows["file"].map(stems) if len(set(stems.values())) == len(stems) else rows["file"]
        return rows.assign(name=names, place=pd.factorize(names)[0].astype(float), moment=""), []
    names, notes = rows["time"].map(text), list[str]()
    if missing := int((names == "").sum()):
        notes.append(f"{missing} {plural(missing, 'row')} without a batch in {options.time}: in no period")
    some = names != ""
    if not some.any():
        raise SynthoodError(f"--time {options.time}: no row names a batch")
    rows, names = rows[some], names[some]
    return rows.assign(name=names, place=pd.factorize(names)[0].astype(float), moment=""), notes


def cut(rows: pd.DataFrame) -> list[Period]:
    """The periods in order."""
    found = []
    for place, own in rows.groupby("place", sort=True):
        good = own[own["readable"]]
        confidences, p_values = (good[key].to_numpy(np.float64) for key in ("confidence", "p_value"))
        found.append(
            Period(
                str(own["name"].iloc[0]),
                float(str(place)),
                len(own) - len(good),
                confidences,
                p_values,
                good["prediction"].to_numpy(np.int64),
            )
        )
    return found


def baseline(periods: Sequence[Period], options: MonitorOptions, level: float, classes: int) -> Baseline:
    """The first periods as one sample."""
    count = options.baseline
    first = periods[:count]
    confidences = np.concatenate([one.confidences for one in first])
    if len(periods) <= count or not len(confidences):
        raise SynthoodError(
            f"--baseline {count}: {len(periods)} periods with {len(confidences)} readable images among the first "
            f"{count}; the baseline needs images, and a period after it"
        )
    predictions = np.concatenate([one.predictions for one in first])
    rejected = sum(int((one.p_values <= level).sum()) for one in first)
    name = f"{len(confidences)} images of {first[0].name}" + f" to {first[-1].name}" * (count > 1)
    return Baseline(name, confidences, np.bincount(predictions, minlength=classes), rejected)


def write(folder: Path, found: Monitored, facts: dict[str, Any], options: MonitorOptions) -> None:
    """Tables as CSV, the page, and `monitor.json` for other programs; each file whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    judgement = found.judgement
    names = [one.name for one in judgement.periods]
    verdict = {
        "alarms": {names[at]: judgement.reason(at) for at in judgement.alarms},
        "verdict": found.verdict,
        "notes": found.notes,
        "alpha": options.alpha,
        "level": found.level,
    }
    content = {
        "periods.csv": found.periods.to_csv(index=False, lineterminator="\n"),
        "classes.csv": found.classes.to_csv(index=False, lineterminator="\n"),
        "images.csv": found.images.to_csv(index=False, lineterminator="\n"),
        "monitor.json": json.dumps(verdict, indent=1) + "\n",
        "monitor.html": page(
            judgement,
            found.periods,
            found.classes,
            found.images,
            facts["classes"],
            found.level,
            found.verdict,
            found.notes,
        ),
    }
    for name, one in content.items():
        with replacing(folder / name) as temporary:
            temporary.write_text(one, encoding="utf-8")


def plural(count: int, what: str) -> str:
    return what if count == 1 else f"{what}s"
