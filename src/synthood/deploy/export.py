"""A classifier with a fitted and calibrated detector as one folder that needs nothing else."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from synthood.common.artefact import replacing
from synthood.common.seeds import derived_seed
from synthood.deploy.calibration import Calibration, check_apart
from synthood.deploy.card import card
from synthood.deploy.conformal import Threshold
from synthood.deploy.extras import Extras
from synthood.deploy.facts import Facts
from synthood.deploy.fitted import origin_of, settings_of, write_folder
from synthood.deploy.inputs import Preprocessing
from synthood.deploy.known_classes import backbone_facts
from synthood.deploy.measure import figures
from synthood.deploy.page import histograms, page
from synthood.deploy.predictor import MODEL, Predictor, confidences_of, standardised, state_name
from synthood.errors import SynthoodError
from synthood.evaluation.detectors.base import Detector, State
from synthood.evaluation.features import Bank, Features, Reference
from synthood.evaluation.scoring import Score
from synthood.training.networks.model import Classifier

LEVELS = (0.01, 0.05, 0.1)
CARD, PAGE = "README.md", "README.html"


@dataclass(frozen=True)
class Calibrated:
    """A detector, or one for each of K folds, and what it gives the calibration images: confidences [n], folds [n].

    `scales` are centre and spread of each fold's confidences, standardised where the folds' detectors differ.
    """

    scores: Sequence[Score]
    confidences: NDArray[np.float32]
    predictions: NDArray[np.int64]
    folds: NDArray[np.int64]
    scales: Sequence[tuple[float, float]] = ()


def split_calibrated(score: Score, features: Features) -> Calibrated:
    """By images that nothing else has used."""
    confidences = confidences_of([score], features)[0]
    return Calibrated([score], confidences, features.logits.argmax(1).numpy(), np.zeros(len(features), np.int64))


def cross_calibrated(fit: Callable[[Reference], Score], reference: Reference, folds: int, seed: int) -> Calibrated:
    """By the validation images, each by the detector that is fitted without its fold; for sets too small to split.

    Whatever `fit` chooses, such as one of several detectors, it chooses anew for each fold. Raises SynthoodError where
    a fold would be empty.
    """
    count = len(reference.val)
    if not 2 <= folds <= count:
        raise SynthoodError(f"calibration: {folds} folds of {count} validation images; take 2 to {count}")
    order = np.random.default_rng(derived_seed("folds", seed)).permutation(count)
    fold = np.empty(count, np.int64)
    fold[order] = np.arange(count) % folds
    scores, confidences = [], np.empty(count, np.float32)
    for k in range(folds):
        own = np.flatnonzero(fold == k)
        score = fit(replace(reference, val=rows(reference.val, np.flatnonzero(fold != k))))
        confidences[own] = confidences_of([score], rows(reference.val, own))[0]
        scores.append(score)
    predictions = reference.val.logits.argmax(1).numpy()
    detectors = [origin_of(score, "export")[0] for score in scores]
    if all(one == detectors[0] for one in detectors):
        return Calibrated(scores, confidences, predictions, fold)
    scales = []
    for k, score in enumerate(scores):
        own = fold == k
        centre, spread = float(confidences[own].mean()), float(confidences[own].std()) or 1.0
        scales.append((centre, spread))
        scores[k] = standardised(score, centre, spread)
        confidences[own] = confidences_of([scores[k]], rows(reference.val, np.flatnonzero(own)))[0]
    return Calibrated(scores, confidences, predictions, fold, scales)


def rows(x: Features, index: NDArray[np.int64]) -> Features:
    """Some of the samples."""
    at = torch.from_numpy(index)
    return Features(x.logits[at], x.features[at], x.labels[at], {key: one[at] for key, one in x.outputs.items()})


def export(
    folder: Path,
    classifier: Classifier,
    calibrated: Calibrated,
    preprocessing: Preprocessing,
    levels: Sequence[float] = LEVELS,
    grouping: NDArray[np.int64] | None = None,
    test: Features | None = None,
    ood: Mapping[str, Features] | None = None,
    ood_classes: Mapping[str, Sequence[str]] | None = None,
    digests: NDArray[np.uint8] | None = None,
    used: Mapping[str, NDArray[np.uint8]] | None = None,
    facts: Facts | None = None,
    extras: Extras | None = None,
) -> Predictor:
    """Writes model, fitted state, `detector.json` and a card to a new folder, whole or not at all.

    ID `test` images and OOD sets give the card's figures; nothing is chosen by them. `ood_classes` names what the
    images of an OOD set show, which the card compares with what a pretrained network was trained on. `digests` are the
    calibration images' SHA-256 [n,32], which must be apart from those in `used`, and by which a later evaluation is
    refused on them. `grouping` are predicted classes [m] of other ID images, by which classes get thresholds of their
    own. `extras` are what the detector reads besides logits and features. `facts` (JSON) say where all comes from.
    Raises SynthoodError where the folder exists, the detector cannot be saved or reads what is not in `extras`, and
    where no level has calibration images enough.
    """
    if digests is not None:
        check_apart(digests, used or {})
    if folder.exists():
        raise SynthoodError(f"{folder}: exists already; name a new folder")
    device = next(classifier.network.parameters()).device
    origins = [origin_of(score, "export") for score in calibrated.scores]
    detector = origins[0][0]
    more = extras or Extras()
    for one, _ in origins:
        if "outputs" in one.inputs and one.reads not in more.heads:
            raise SynthoodError(f"export: {one.kind} reads the head `{one.reads}`; pass it in `extras`")
    if more.detector is not None and len(origins) > 1:
        raise SynthoodError(f"export: {detector.kind} is not fitted by folds; take `calibration: split`")
    folds = None if len(calibrated.scores) == 1 else calibrated.folds
    classes = classifier.classes
    known = Calibration.of(calibrated.confidences, calibrated.predictions, len(classes), levels, folds, grouping)
    predictor = Predictor(classifier, calibrated.scores, known, preprocessing, {}, device, more)
    judged = {name: predictor.judged(features) for name, features in (ood or {}).items()}
    inside = None if test is None else predictor.judged(test)
    found = figures(known, inside, None if test is None else test.labels.numpy(), judged)
    known_before = classifier.pretraining
    shown = ({"ID test": inside} if inside is not None else {}) | judged
    banks = any(isinstance(value, Bank) for _, state in origins for value in state.values())
    written: dict[str, Any] = {
        "detector": settings_of(detector),
        "folds": described_folds(origins, calibrated.scales),
        "extras": more.header(),
        "classes": classes,
        "preprocessing": preprocessing.header(),
        "calibration": known.header(),
        "calibration_sha256": [] if digests is None else [row.tobytes().hex() for row in digests],
        "thresholds": [described(group, one) for group, one in known.thresholds(classes)],
        "guarantee": known.guarantee,
        "warnings": known.warnings(levels),
        "measured": found.header(),
        "histograms": histograms({name: one.confidences.mean(0) for name, one in shown.items()}),
        "holds_training_features": banks,
        "ood_classes": {name: list(classes) for name, classes in (ood_classes or {}).items()},
        "backbone": backbone_facts(known_before, ood_classes or {}) if known_before else None,
        "from": facts or {},
    }
    with replacing(folder) as temporary:
        temporary.mkdir()
        classifier.save(temporary / MODEL)
        more.save(temporary)
        (temporary / CARD).write_text(card(written))
        (temporary / PAGE).write_text(page(written))
        states = {state_name(fold): state for fold, (_, state) in enumerate(origins)}
        write_folder(temporary, states, written, "export")
    return replace(predictor, facts=written)


def described_folds(origins: Sequence[tuple[Detector, State]], scales: Sequence[tuple[float, float]]) -> list[Facts]:
    """Each fold's detector with its scale, where they differ."""
    pairs = zip(origins, scales, strict=True) if scales else ()
    return [
        {"detector": settings_of(detector), "centre": centre, "spread": spread}
        for (detector, _), (centre, spread) in pairs
    ]


def described(group: str, threshold: Threshold) -> Facts:
    """A threshold as JSON."""
    return {
        "group": group,
        "level": threshold.level,
        "count": threshold.count,
        "threshold": threshold.value,
        "ties": threshold.ties,
        "true_rate": threshold.true_rate,
    }
