"""Stage `export_detector`: the best candidate by validation data, calibrated by images apart, as one folder."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from synthood.common import stage
from synthood.common.command import Output
from synthood.common.devices import set_threads
from synthood.common.images import open_set, stored
from synthood.deploy.calibration import taken_for_calibration
from synthood.deploy.export import cross_calibrated, export, rows, split_calibrated
from synthood.deploy.fitted import origin_of, settings_of
from synthood.deploy.inputs import Preprocessing
from synthood.deploy.settings import ExportSettings, Promise
from synthood.errors import SynthoodError
from synthood.evaluation.detectors.base import Detector
from synthood.evaluation.feature_files import FeatureFolder
from synthood.evaluation.features import Features, Reference
from synthood.evaluation.hyperparameters import OutOfRangeError
from synthood.evaluation.scoring import Score, together
from synthood.evaluation.search import Validation, fitted
from synthood.evaluation.selection import area
from synthood.training.networks.model import Classifier

Digests = NDArray[np.uint8]


@dataclass(frozen=True)
class Parts:
    """Validation images by their place: those that calibrate, and those that detectors are fitted and chosen on."""

    calibration: NDArray[np.int64]
    rest: NDArray[np.int64]


@dataclass(frozen=True)
class Candidate:
    """A fitted detector of a recipe's model, and its AUROC on validation data, where several were compared."""

    recipe: int
    name: str
    score: Score
    auroc: float | None


def divided(val: Digests, others: Mapping[str, Digests], promise: Promise) -> Parts:
    """With `split`, apart; images that also stand in another part calibrate nothing."""
    count, used = len(val), set[bytes]()
    for digests in others.values():
        used |= {row.tobytes() for row in digests}
    free = np.array([i for i, row in enumerate(val) if row.tobytes() not in used], np.int64)
    if len(free) < count:
        print(f"note: {count - len(free)} of {count} validation images stand in another part; they calibrate nothing")
    if promise.calibration == "cross":
        return Parts(free, np.arange(count))
    wanted = count // 2 if promise.images is None else promise.images
    if wanted >= len(free):
        raise SynthoodError(
            f"deploy.images: {wanted} calibration images of {len(free)}; take fewer, or `calibration: cross`"
        )
    own = free[taken_for_calibration(val[free], wanted, promise.seed)]
    return Parts(own, np.setdiff1d(np.arange(count), own))


def with_val(reference: Reference, index: NDArray[np.int64]) -> Reference:
    """The reference with some of its validation images."""
    return replace(reference, val=rows(reference.val, index))


def candidates(
    recipe: int, detectors: Mapping[str, Detector], reference: Reference, ood: Features, where: str, compare: bool
) -> list[Candidate]:
    """Every detector that the data allow, grids searched; a single one that they do not allow raises."""
    found = []
    for name, detector in detectors.items():
        try:
            scores, _ = fitted({name: detector}, Validation(reference, ood, where))
        except OutOfRangeError as error:
            if not compare:
                raise
            print(f"note: {error}; {name} is no candidate")
            continue
        inside, outside = (together(scores, x)[name] for x in (reference.val, ood))
        found.append(Candidate(recipe, name, scores[name], area(inside, outside, name) if compare else None))
    return found


@stage.Stage
def main(
    job: stage.Job,
    settings: ExportSettings,
    threads: int,
    models: Annotated[list[Path], "model of each candidate recipe"],
    features: Annotated[list[Path], "folder that extract wrote for each of them"],
    images: Annotated[list[Path], "image sets of the dataset; a part is named by its file"],
    output: Output,
) -> None:
    set_threads(threads)
    paths = {path.stem: path for path in images}
    val = open_set(paths["val"])
    digests = {part: stored(path)[0] for part, path in paths.items()}
    parts = divided(digests["val"], {part: one for part, one in digests.items() if part != "val"}, settings.promise)
    compare = sum(map(len, settings.detectors)) > 1
    folders = [FeatureFolder(path) for path in features]
    tried = [
        one
        for index, (folder, detectors) in enumerate(zip(folders, settings.detectors, strict=True))
        for one in candidates(
            index,
            detectors,
            with_val(folder.reference(), parts.rest),
            folder.part("ood_validation"),
            str(folder.folder),
            compare,
        )
    ]
    if not tried:
        raise SynthoodError("deploy.detector: the data allow none of the candidates; name another")
    best = max(tried, key=lambda one: one.auroc or 0.0)
    for one in tried if compare else []:
        print(f"{settings.recipes[one.recipe]}, {one.name}: validation AUROC {one.auroc:.4f}{' *' * (one is best)}")
    folder, detector = folders[best.recipe], origin_of(best.score, best.name)[0]
    whole = folder.reference()
    promise = settings.promise
    if promise.calibration == "cross":
        own = with_val(whole, parts.calibration)
        calibrated = cross_calibrated(detector.fit, own, promise.folds, promise.seed)
    else:
        calibrated = split_calibrated(best.score, rows(whole.val, parts.calibration))
    height, width = val.images.shape[1:3]
    with job.writing(output) as path:
        predictor = export(
            path,
            Classifier.load(models[best.recipe]),
            calibrated,
            Preprocessing(height, width, settings.resize, settings.apply_exif_rotation, settings.bits),
            promise.reject_id,
            promise.per_class,
            test=folder.part("test"),
            ood={name: folder.part(name) for name in settings.ood},
            digests=digests["val"][parts.calibration],
            facts={
                "dataset": settings.dataset,
                "recipe": settings.recipes[best.recipe],
                "seed": promise.seed,
                "candidates": len(tried),
                "calibration": f"{len(parts.calibration)} validation images, {promise.calibration}",
            },
        )
    for warning in predictor.facts["warnings"]:
        print(f"warning: {warning}")
    print(f"{output}: {settings.recipes[best.recipe]} with {settings_of(detector)}")


if __name__ == "__main__":
    main()
