"""`synthood evaluate`: an exported detector on a user's own known and unknown images, against its promise."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthood.common.artefact import replacing
from synthood.common.images import pixel_sha256
from synthood.deploy.card import measured
from synthood.deploy.inputs import Input, processed
from synthood.deploy.measure import Judged, figures
from synthood.deploy.predictor import BATCH, Predictor, load
from synthood.errors import SynthoodError, printable


@dataclass(frozen=True)
class Read:
    """The readable images of a folder: names, how they are judged, their pixels' SHA-256; and reasons of the others."""

    names: list[str]
    judged: Judged
    digests: set[str]
    errors: list[str]


def evaluate(
    folder: Path, known: Path, unknown: Sequence[Path], output: Path | None = None, device: str = "cpu"
) -> str:
    """Accuracy, false alarms, AUROC and FPR95 with intervals, in Markdown, and as JSON in `output`.

    ID images in folders named by class also give the accuracy. Raises SynthoodError where a folder has no readable
    image, and where calibration images are among the ID images.
    """
    predictor = load(folder, device)
    names = set_names([known, *unknown])
    inside = read(predictor, known)
    if both := inside.digests & set(predictor.facts["calibration_sha256"]):
        raise SynthoodError(
            f"{printable(known)}: {len(both)} of {len(inside.digests)} images are calibration images of this detector, "
            f"so that false alarms would look rarer than they are; take images that it has not seen"
        )
    outside = {name: read(predictor, path) for name, path in zip(names[1:], unknown, strict=True)}
    labels = labels_of(inside.names, known, predictor.classes)
    sets = {name: one.judged for name, one in outside.items()}
    found = figures(predictor.calibration, inside.judged, labels, sets).header()
    errors = [error for one in (inside, *outside.values()) for error in one.errors]
    if output is not None:
        with replacing(output) as temporary:
            temporary.write_text(json.dumps({**found, "errors": errors}, indent=1) + "\n")
    return report(predictor, found, errors, labels is not None)


def set_names(paths: Sequence[Path]) -> list[str]:
    """The last parts of paths, or all of them where two are equal."""
    short = [path.resolve().name for path in paths]
    return short if len(set(short)) == len(short) else [str(path) for path in paths]


def read(predictor: Predictor, folder: Path) -> Read:
    """Judges all images below a folder."""
    level = predictor.level(None)
    errors: list[str] = []
    names: list[str] = []
    digests: set[str] = set()

    def work(some: list[Input]) -> Judged | None:
        table = predictor.table(some, level)
        good = table[table["error"] == ""]
        errors.extend(f"{printable(row.path)}: {row.error}" for row in table[table["error"] != ""].itertuples())
        names.extend(good["path"])
        pixels = [one.pixels for one in some if one.pixels is not None]
        if not pixels:
            return None
        digests.update(row.tobytes().hex() for row in pixel_sha256(np.stack(pixels)))
        numbers = good["label"].map(predictor.classes.index).to_numpy(np.int64)
        return Judged(numbers, good["confidence"].to_numpy()[None], good["p_value"].to_numpy())

    batches = [one for one in processed(folder, predictor.preprocessing, work, BATCH, 2) if one is not None]
    if not batches:
        raise SynthoodError(f"{printable(folder)}: none of {len(errors)} images is readable; the first: {errors[0]}")
    judged = Judged(
        np.concatenate([one.predictions for one in batches]),
        np.concatenate([one.confidences for one in batches], 1),
        np.concatenate([one.p_values for one in batches]),
    )
    return Read(names, judged, digests, errors)


def labels_of(names: Sequence[str], folder: Path, classes: Sequence[str]) -> NDArray[np.int64] | None:
    """Class numbers [N] by the first folder below `folder`; None where an image is in no folder of a class."""
    numbers = {name: number for number, name in enumerate(classes)}
    found = [numbers.get(Path(name).relative_to(folder).parts[0], -1) for name in names]
    return None if -1 in found else np.array(found, np.int64)


def report(predictor: Predictor, found: Mapping[str, Any], errors: Sequence[str], labelled: bool) -> str:
    """What was measured, in Markdown, with what is not readable and what is unknown."""
    lines = [measured({"measured": found}), "", predictor.calibration.guarantee]
    if not labelled:
        lines += ["", "Accuracy is unknown: not every ID image lies in a folder named by its class."]
    if errors:
        lines += ["", f"{len(errors)} images are not readable and count nowhere:", *(f"- {one}" for one in errors[:20])]
        lines += [f"- and {len(errors) - 20} more"] * (len(errors) > 20)
    return "\n".join(lines)
