"""`detector.onnx`: pixels to probabilities, confidence and p-values in one graph, checked against the detector itself.

The network's and the detector's own code is traced, so that no formula is written twice.
"""

import importlib.util
import json
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synthood.common.artefact import replacing, verify
from synthood.common.identity import FORMAT as IDENTITY_FORMAT
from synthood.common.identity import seal
from synthood.common.seeds import derived_seed
from synthood.deploy.facts import versions
from synthood.deploy.onnx_detector import CHECKED as CHECKED_ON
from synthood.deploy.onnx_detector import ONNX
from synthood.deploy.predictor import Predictor, features_of, load
from synthood.errors import SynthoodError, printable
from synthood.evaluation.features import Features

OPSET = 18
LARGEST = 2_000_000_000
"""Bytes; one protobuf message holds no more than 2^31."""
TOLERANCE = 1e-4
"""Of probabilities, and of confidences in units of their ID spread."""
OUTPUTS = ("probabilities", "confidence", "p_value", "is_ood")
CHECKED = 64
"""Images that the graph is compared on."""


class Graph(nn.Module):
    """Pixels uint8 [N,H,W,3] to probabilities float32 [N,C], confidence float32 [N], p-value float64 [N], and whether
    each level rejects them, bool [N,L]."""

    known: Tensor
    folds: Tensor
    own: Tensor
    groups: Tensor
    levels: Tensor

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        self.classifier, self.scores = predictor.classifier, list(predictor.scores)
        self.network = predictor.classifier.network
        known = predictor.calibration
        self.register_buffer("known", torch.tensor(known.confidences, dtype=torch.float64))
        self.register_buffer("folds", torch.tensor(known.folds))
        self.register_buffer("own", torch.tensor(known.groups[known.predictions]))
        self.register_buffer("groups", torch.tensor(known.groups))
        self.register_buffer("levels", torch.tensor(known.levels, dtype=torch.float64))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        features = self.network.features(self.classifier.normalised(images)).float()
        logits = self.network.head(features).float()
        x = Features(logits, features, logits.argmax(1))
        by_fold = torch.stack([score(x) for score in self.scores])
        p = self.p_values(by_fold, x.labels)
        return logits.softmax(1), by_fold.mean(0), p, p[:, None] <= self.levels

    def p_values(self, by_fold: Tensor, predictions: Tensor) -> Tensor:
        """`Calibration.p_values` of confidences [K,N] and predicted classes [N], by comparisons."""
        alike = self.own[:, None] == self.groups[predictions]
        below = alike & (self.known[:, None] <= by_fold.double()[self.folds])
        return (1 + below.double().sum(0)) / (alike.double().sum(0) + 1)


def write(predictor: Predictor, path: Path, digest: str = "", images: NDArray[np.uint8] | None = None) -> str:
    """Writes the graph, whole or not at all, and returns a sentence that says how it was checked.

    `images` uint8 [N,H,W,3] of the model's size are those it is compared on with onnxruntime, where that is installed;
    patterns of random colours without. Raises SynthoodError where an operation of the network or the detector is not in
    ONNX, the file would exceed 2 GB, or the graph does not agree.
    """
    for package in ("onnx", "onnxscript"):
        if importlib.util.find_spec(package) is None:
            raise SynthoodError(f"detector.onnx: needs the package {package}; pip install 'synthood[onnx]'")
    kind = predictor.facts.get("detector", {}).get("kind", "the detector")
    if predictor.extras:
        raise SynthoodError(f"detector.onnx: {kind} reads more than one network's logits and features; take another")
    given = patterns(predictor) if images is None else np.asarray(images[:CHECKED])
    # Also fills what scores make once, which would be traced otherwise
    features_of(predictor.classifier, given[:2], predictor.device)
    judged = predictor.judged(features_of(predictor.classifier, given, predictor.device))
    program = traced(Graph(predictor).eval(), torch.from_numpy(given[:3]).to(predictor.device), kind)
    size = sum(one.const_value.nbytes for one in program.model.graph.initializers.values() if one.const_value)
    if size > LARGEST:
        raise SynthoodError(f"detector.onnx: {size / 1e9:.1f} GB, more than a file holds; take a smaller bank")
    is_checked = importlib.util.find_spec("onnxruntime") is not None
    program.model.metadata_props.update(metadata(predictor, digest) | {CHECKED_ON: str(len(given) * is_checked)})
    with replacing(path) as temporary:
        program.save(str(temporary))
        if not is_checked:
            return "not checked, since onnxruntime is not installed"
        check(predictor, temporary, given, judged.confidences)
    return f"agrees with the detector on {len(given)} {'patterns' if images is None else 'images'}"


def traced(graph: Graph, example: Tensor, kind: str) -> Any:
    """The graph as ONNX, for any number of images."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program: Any = torch.onnx.export(
                graph,
                (example,),
                dynamo=True,
                opset_version=OPSET,
                dynamic_shapes=({0: torch.export.Dim("N")},),
                input_names=["images"],
                output_names=list(OUTPUTS),
                verbose=False,
            )
            # The exporter may have fallen back to the example's number
            if isinstance(program.model.graph.inputs[0].shape[0], int):
                raise ValueError("the number of images is not free")
            return program
    except Exception as error:  # whatever the exporter raises at what it cannot trace
        first = next((line for line in str(error).splitlines()[::-1] if "No ONNX function" in line), str(error))
        raise SynthoodError(
            f"detector.onnx: {kind} or its network cannot be written as ONNX ({printable(first.strip(), 200)}); "
            f"take another detector, or `onnx: false`"
        ) from error
    finally:
        logger.setLevel(level)


def metadata(predictor: Predictor, digest: str) -> dict[str, str]:
    """What the file says of itself: texts and JSON by key."""
    facts = predictor.facts
    known = {
        "classes": predictor.classes,
        "levels": list(predictor.calibration.levels),
        "preprocessing": predictor.preprocessing.header(),
        "versions": versions(),
        **{key: facts.get(key) for key in ("detector", "folds", "thresholds")},
    }
    found = {f"synthood.{key}": json.dumps(value) for key, value in known.items()}
    return found | {"synthood.guarantee": predictor.calibration.guarantee, "synthood.folder_sha256": digest}


def patterns(predictor: Predictor) -> NDArray[np.uint8]:
    """Random images of large and small structure, around the mean and spread of the model's inputs."""
    size, model = predictor.preprocessing, predictor.classifier
    random = np.random.default_rng(derived_seed("patterns", 0))
    coarse = torch.from_numpy(random.normal(size=(CHECKED, 3, 5, 5)))
    smooth = nn.functional.interpolate(coarse, (size.height, size.width), mode="bilinear").permute(0, 2, 3, 1).numpy()
    found = smooth * random.uniform(0.3, 1.5, (CHECKED, 1, 1, 1)) + 0.2 * random.normal(size=smooth.shape)
    pixels = 255 * (found * np.array(model.deviation) + np.array(model.mean))
    result: NDArray[np.uint8] = pixels.clip(0, 255).astype(np.uint8)
    return result


def check(predictor: Predictor, path: Path, images: NDArray[np.uint8], by_fold: NDArray[np.float32]) -> None:
    """Raises SynthoodError where the file's probabilities, confidences or decisions are not the detector's.

    A p-value, on which decisions depend, may be that of any confidence within the tolerance.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = dict(zip(OUTPUTS, session.run(list(OUTPUTS), {"images": images}), strict=True))
    features, calibration = features_of(predictor.classifier, images, predictor.device), predictor.calibration
    probabilities = features.logits.softmax(1).numpy()
    reach = TOLERANCE * (float(calibration.confidences.std()) or 1.0)
    predictions = found["probabilities"].argmax(1)
    low, high = (calibration.p_values(by_fold + change, predictions) for change in (-reach, reach))
    levels = np.array(calibration.levels)
    agreed = {
        "probabilities": np.abs(found["probabilities"] - probabilities).max() <= TOLERANCE,
        "confidences": np.abs(found["confidence"] - by_fold.mean(0)).max() <= reach,
        "p-values": ((low <= found["p_value"]) & (found["p_value"] <= high)).all(),
        "decisions": (found["is_ood"] == (found["p_value"][:, None] <= levels)).all(),
    }
    if wrong := [name for name, good in agreed.items() if not good]:
        raise SynthoodError(
            f"detector.onnx: its {' and '.join(wrong)} differ from the detector's; no file was written; take another "
            f"detector, or `onnx: false`"
        )


def add(folder: Path, predictor: Predictor, images: NDArray[np.uint8] | None = None) -> str:
    """Writes `detector.onnx` into an exported folder and seals it anew; the same sentence as `write`."""
    if (folder / ONNX).exists():
        raise SynthoodError(f"{folder / ONNX}: exists already; delete it and export the detector again")
    done = write(predictor, folder / ONNX, verify(folder, ours=True), images)
    seal(folder, folder, {"format": IDENTITY_FORMAT, "stage": "export"})
    return done


def add_to(folder: Path) -> str:
    """The same for a folder on disk."""
    return add(folder, load(folder))
