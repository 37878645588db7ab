"""Stage `export_detector`: the best candidate by validation data, calibrated by images apart, as one folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from synthood.common import stage
from synthood.common.command import Output
from synthood.common.devices import set_threads
from synthood.common.images import open_set, stored
from synthood.data.overlap_settings import CALIBRATION
from synthood.deploy import onnx
from synthood.deploy.candidates import Candidate, Trained, best, of_recipe, of_reference, with_val
from synthood.deploy.export import Calibrated, cross_calibrated, export, rows, split_calibrated
from synthood.deploy.fitted import origin_of, settings_of
from synthood.deploy.inputs import Preprocessing
from synthood.deploy.onnx_detector import ONNX
from synthood.deploy.settings import ExportSettings
from synthood.errors import SynthoodError
from synthood.evaluation.detectors.base import Detector
from synthood.evaluation.feature_files import FeatureFolder
from synthood.evaluation.features import Reference
from synthood.evaluation.scoring import Score

Digests = NDArray[np.uint8]


def free_places(part: str, digests: Mapping[str, Digests]) -> NDArray[np.int64]:
    """Places of a part's images that stand in no other part; the others calibrate nothing."""
    used = {row.tobytes() for name, rows in digests.items() if name != part for row in rows}
    free = np.array([i for i, row in enumerate(digests[part]) if row.tobytes() not in used], np.int64)
    count = len(digests[part])
    if not len(free):
        raise SynthoodError(f"{part}: all {count} images stand in another part as well, so that none can calibrate")
    if len(free) < count:
        print(f"note: {count - len(free)} of {count} {part} images stand in another part; they calibrate nothing")
    return free


def trained(
    settings: ExportSettings,
    models: Sequence[Path],
    features: Sequence[Path],
    heads: Sequence[Path],
    images: list[Path],
) -> list[Trained]:
    """The candidate recipes; files come by recipe and seed, heads for those recipes that have some."""
    count, left, found = len(settings.seeds), list(heads), []
    for index, (name, methods) in enumerate(zip(settings.recipes, settings.heads, strict=True)):
        own = slice(index * count, (index + 1) * count)
        folders = [FeatureFolder(path) for path in features[own]]
        learned = left.pop(0) if methods.methods else None
        found.append(Trained(name, models[own], folders, methods, learned, {path.stem: path for path in images}))
    return found


def by_split(
    settings: ExportSettings, recipes: Sequence[Trained], free: NDArray[np.int64]
) -> tuple[Candidate, Calibrated, int]:
    """The best of all candidates, calibrated by the part that nothing else has seen; and how many were compared."""
    pairs = list(zip(recipes, settings.detectors, strict=True))
    compare = sum(map(len, settings.detectors)) > 1
    tried = [one for recipe, detectors in pairs for one in of_recipe(recipe, detectors, compare)]
    chosen = best(tried)
    for one in tried if compare else []:
        print(f"{one}: validation AUROC {one.auroc:.4f}{' *' * (one is chosen)}")
    return chosen, split_calibrated(chosen.score, rows(chosen.part(CALIBRATION), free)), len(tried)


def by_folds(
    settings: ExportSettings, recipe: Trained, detectors: Mapping[str, Detector], free: NDArray[np.int64]
) -> tuple[Candidate, Calibrated, int]:
    """The best candidate of each fold, by the other folds alone, so that no fold has a part in any choice for it."""
    promise, compare, chosen = settings.promise, len(detectors) > 1, list[Candidate]()

    def fit(reference: Reference) -> Score:
        found = best(of_reference(recipe, detectors, reference, compare))
        chosen.append(found)
        print(f"without fold {len(chosen)}: {settings_of(origin_of(found.score, found.name)[0])}")
        return found.score

    known = with_val(recipe.reference, free)
    calibrated = cross_calibrated(fit, known, promise.folds, promise.seed)
    return next((one for one in chosen if one.extras), chosen[0]), calibrated, len(detectors)


@stage.Stage
def main(
    job: stage.Job,
    settings: ExportSettings,
    threads: int,
    models: Annotated[list[Path], "models of each candidate recipe, of every seed"],
    features: Annotated[list[Path], "folders that extract wrote for each of them"],
    images: Annotated[list[Path], "image sets of the dataset; a part is named by its file"],
    output: Output,
    heads: Annotated[Sequence[Path], "what train learned with the recipes that `heads` of the settings names"] = (),
) -> None:
    set_threads(threads)
    promise = settings.promise
    for text in settings.left_out:
        print(f"note: {text}; it is no candidate")
    paths = {path.stem: path for path in images}
    part = CALIBRATION if promise.calibration == "split" else "val"
    if part not in paths:
        raise SynthoodError(f"export_detector: no part {part} among the images; give the dataset a key `calibration`")
    digests = {name: stored(path)[0] for name, path in paths.items()}
    free = free_places(part, digests)
    recipes = trained(settings, models, features, heads, images)
    if part == CALIBRATION:
        chosen, calibrated, compared = by_split(settings, recipes, free)
    else:
        chosen, calibrated, compared = by_folds(settings, recipes[0], settings.detectors[0], free)
    grouped = chosen.recipe.part("val").logits.argmax(1).numpy()
    height, width = open_set(paths[part]).images.shape[1:3]
    with job.writing(output) as path:
        predictor = export(
            path,
            chosen.recipe.classifier,
            calibrated,
            Preprocessing(
                height, width, settings.resize, settings.apply_exif_rotation, settings.bits, settings.interpolation
            ),
            promise.reject_id,
            grouped if promise.per_class and part == CALIBRATION else None,
            test=chosen.part("test"),
            ood={name: chosen.part(name) for name in settings.ood},
            ood_classes=settings.ood_classes,
            digests=digests[part][free],
            facts={
                "dataset": settings.dataset,
                "recipe": chosen.recipe.name,
                "seeds": ", ".join(map(str, settings.seeds)),
                "candidates": compared,
                "calibration": f"{len(free)} images of the part {part}, {promise.calibration}",
            },
            extras=chosen.extras,
        )
        if settings.onnx:
            print(f"{ONNX}: {onnx.add(path, predictor, open_set(paths[part]).images[free[: onnx.CHECKED]])}")
    for warning in predictor.facts["warnings"]:
        print(f"warning: {warning}")
    print(f"{output}: {chosen.recipe.name} with {settings_of(origin_of(chosen.score, chosen.name)[0])}")


if __name__ == "__main__":
    main()
