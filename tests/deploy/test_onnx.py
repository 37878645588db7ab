"""`detector.onnx` against the detector: every detector of features in one graph, and whole files with p-values."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import synthood
from synthood.cli import main
from synthood.deploy import onnx
from synthood.deploy.export import Calibrated, cross_calibrated, export, split_calibrated
from synthood.deploy.inputs import Preprocessing
from synthood.deploy.predictor import Predictor, features_of
from synthood.errors import SynthoodError
from synthood.evaluation.detectors.base import Detector
from synthood.evaluation.detectors.logits import OpenMax
from synthood.evaluation.detectors.neighbours import Knn
from synthood.evaluation.detectors.rectifiers import React, Scale
from synthood.evaluation.features import Features, Reference
from synthood.evaluation.scoring import Score
from toy_features import EVERY, TEST, name_of, part, toy_reference
from toy_models import classifier, pictures

runtime = pytest.importorskip("onnxruntime")
CPU = torch.device("cpu")
NOT_IN_ONNX = ("cfood", "openmax")
"""torch.searchsorted and torch.cdist have no form in it."""
TRACED = [one for one in EVERY if one.kind not in NOT_IN_ONNX]


class Together(nn.Module):
    """Logits and features to what each of several detectors gives."""

    def __init__(self, scores: list[Score]) -> None:
        super().__init__()
        self.scores = scores

    def forward(self, logits: Tensor, features: Tensor) -> Tensor:
        x = Features(logits, features, logits.argmax(1))
        return torch.stack([score(x) for score in self.scores])


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Tensor], np.ndarray]:
    """What all detectors give 200 samples, by torch and by onnxruntime, of a graph that was traced with three."""
    reference = toy_reference()
    near = part(TEST, 5, reference.weight, reference.bias, far=1.0)
    scores = [one.fit(reference) for one in TRACED]
    expected = [score.score(near) for score in scores]
    path, free = tmp_path_factory.mktemp("onnx") / "all.onnx", torch.export.Dim("N")
    torch.onnx.export(
        Together(scores),
        (near.logits[:3], near.features[:3]),
        path,
        dynamo=True,
        opset_version=onnx.OPSET,
        dynamic_shapes=({0: free}, {0: free}),
        verbose=False,
    )
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return expected, session.run(None, {"logits": near.logits.numpy(), "features": near.features.numpy()})[0]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("index", range(len(TRACED)), ids=[name_of(one) for one in TRACED])
def test_a_detectors_own_code_is_what_the_graph_computes(outputs: tuple[list[Tensor], np.ndarray], index: int) -> None:
    expected, found = outputs[0][index].numpy(), outputs[1][index]
    assert np.abs(found - expected).max() <= 1e-4 * expected.std()


@pytest.fixture(scope="module")
def known() -> tuple[Reference, Features]:
    """A reference and calibration features of the toy classifier."""
    model = classifier()

    def labelled(count: int, seed: int) -> Features:
        images = pictures(count, seed)
        found = features_of(model, images.images, CPU)
        return Features(found.logits, found.features, torch.from_numpy(images.labels))

    head = model.network.head
    reference = Reference(labelled(120, 0), labelled(60, 1), head.weight.detach(), head.bias.detach())
    return reference, labelled(300, 2)


def exported(folder: Path, calibrated: Calibrated, grouping: np.ndarray | None = None) -> Predictor:
    return export(folder, classifier(), calibrated, Preprocessing(16, 16), (0.05, 0.1), grouping)


def agrees(folder: Path, predictor: Predictor) -> dict[str, np.ndarray]:
    """Outputs of the file for new images and noise, after they were compared with the predictor's table."""
    noise = np.random.default_rng(3).integers(0, 256, (40, 16, 16, 3), np.uint8)
    images = np.concatenate([np.asarray(pictures(60, 7).images), noise])
    session = runtime.InferenceSession(folder / onnx.ONNX, providers=["CPUExecutionProvider"])
    found = dict(zip(onnx.OUTPUTS, session.run(list(onnx.OUTPUTS), {"images": images}), strict=True))
    table = predictor.predict(images)
    spread = predictor.calibration.confidences.std()
    probabilities = features_of(predictor.classifier, images, CPU).logits.softmax(1).numpy()
    assert np.abs(found["probabilities"] - probabilities).max() <= 1e-4
    assert np.abs(found["confidence"] - table["confidence"].to_numpy()).max() <= 1e-4 * spread
    # Ranks differ by one where a confidence lies within rounding of a calibration image's
    assert (found["p_value"] == table["p_value"]).mean() >= 0.95
    assert (found["is_ood"][:, 0] == table["is_ood"]).mean() >= 0.98
    assert ((found["p_value"][:, None] <= [0.05, 0.1]) == found["is_ood"]).all()
    return found


def test_a_folder_with_groups_and_ties_is_sealed_with_its_file(
    known: tuple[Reference, Features], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reference, calibration = known
    calibrated = split_calibrated(React(percentile=80.0).fit(reference), calibration)
    folder = tmp_path / "detector"
    exported(folder, calibrated, calibrated.predictions)
    main(["export-onnx", str(folder)])
    assert "agrees with the detector on 64 patterns" in capsys.readouterr().out
    predictor = synthood.load(folder)
    agrees(folder, predictor)
    graph = onnx.Graph(predictor)
    tied = torch.tensor(calibrated.confidences)
    predictions = torch.tensor(calibrated.predictions)
    expected = predictor.calibration.p_values(tied.numpy()[None], predictions.numpy())
    assert (graph.p_values(tied[None], predictions).numpy() == expected).all()
    said = {one.key: one.value for one in pytest.importorskip("onnx").load(folder / onnx.ONNX).metadata_props}
    assert json.loads(said["synthood.classes"]) == predictor.classes
    assert json.loads(said["synthood.levels"]) == [0.05, 0.1]
    assert len(said["synthood.folder_sha256"]) == 64
    with pytest.raises(SynthoodError, match="exists already"):
        onnx.add_to(folder)
    content = bytearray((folder / onnx.ONNX).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / onnx.ONNX).write_bytes(content)
    with pytest.raises(SynthoodError, match="truncated or changed"):
        synthood.load(folder)


@pytest.mark.parametrize("detector", [Knn(k=3), Scale(percentile=65.0)], ids=name_of)
def test_folds_are_averaged_and_compared_with_their_own(
    known: tuple[Reference, Features], detector: Detector, tmp_path: Path
) -> None:
    calibrated = cross_calibrated(detector.fit, known[0], 3, seed=0)
    predictor = exported(tmp_path / "detector", calibrated)
    onnx.add(tmp_path / "detector", predictor)
    agrees(tmp_path / "detector", predictor)


def test_what_onnx_has_not_or_does_not_agree_leaves_no_file(
    known: tuple[Reference, Features], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference, calibration = known
    predictor = exported(tmp_path / "a", split_calibrated(OpenMax(alpha=2).fit(reference), calibration))
    with pytest.raises(SynthoodError, match="openmax or its network cannot be written as ONNX"):
        onnx.add(tmp_path / "a", predictor)
    other = exported(tmp_path / "b", split_calibrated(Knn(k=3).fit(reference), calibration))
    monkeypatch.setattr(onnx.Graph, "p_values", lambda self, by_fold, predictions: by_fold.double()[0] * 0)
    with pytest.raises(SynthoodError, match="its p-values differ from the detector's"):
        onnx.add(tmp_path / "b", other)
    for name in "ab":
        assert not [one for one in (tmp_path / name).iterdir() if "onnx" in one.name]
        synthood.load(tmp_path / name)
