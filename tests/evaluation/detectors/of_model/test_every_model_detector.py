"""What holds for every detector of the model: settings, samples by themselves, types, images without any contrast."""

import numpy as np
import pytest
import torch
from torch import Tensor

from synthood.evaluation.detectors.base import Detector
from synthood.evaluation.detectors.logits import Msp
from synthood.evaluation.detectors.of_model.base import ModelDetector
from synthood.evaluation.detectors.of_model.mds_ensemble import MdsEnsemble
from synthood.evaluation.model_search import Fitted, Images, ImageValidation, batches_of, fitted
from synthood.evaluation.probe import BatchView
from synthood.training.networks.model import inputs_of
from toy_models import OF_MODEL, classifier, pictures, probe_of

MODEL = classifier()
PROBE = probe_of(MODEL)
NEAR = pictures(24, 5, contrast=1.5)
VALIDATION = ImageValidation(pictures(60, 1), pictures(30, 2), pictures(30, 3, contrast=2.5))


@pytest.fixture(scope="module")
def found() -> dict[str, Fitted]:
    return fitted(PROBE, MODEL, {d.kind: d for d in OF_MODEL}, VALIDATION)[0]


def scored(detector: Fitted, images: Images, batch: int) -> Tensor:
    inputs = inputs_of(MODEL, images.images, torch.device("cpu"), batch)
    return torch.cat([detector(BatchView(PROBE, each)) for each in inputs])


@pytest.mark.parametrize("detector", OF_MODEL, ids=lambda d: d.kind)
def test_settings_name_what_the_pass_depends_on_and_the_grid_is_valid(detector: ModelDetector) -> None:
    assert set(detector.method.pass_params) <= set(type(detector).model_fields)
    grid = type(detector).model_validate({"kind": detector.kind, **detector.grid})
    assert len(grid.candidates()) == np.prod([len(values) for values in detector.grid.values()], dtype=int)


def test_access_is_by_maps_or_by_gradients() -> None:
    access = {d.kind: d.access for d in OF_MODEL}
    assert access["gram"] == access["rankfeat"] == "maps"
    assert access["adascale"] == access["iodin"] == access["mds-ensemble"] == access["odin"] == "gradients"
    assert MdsEnsemble(noise=0.0).access == "maps"
    assert MdsEnsemble.parse('{"kind":"mds-ensemble","noise":[0.0,0.001]}').access == "gradients"
    assert Msp().access == "features"


@pytest.mark.parametrize("kind", [d.kind for d in OF_MODEL])
def test_each_image_is_scored_by_itself(kind: str, found: dict[str, Fitted]) -> None:
    """In any order and any batch, to what rounding does to signs of gradients that are all but zero."""
    whole = scored(found[kind], NEAR, 24)
    assert (whole.dtype, whole.shape) == (torch.float32, (24,))
    order = np.random.default_rng(0).permutation(24)
    mixed = scored(found[kind], Images(NEAR.images[order], NEAR.labels[order]), 7)
    spread = float(whole.max() - whole.min())
    assert spread > 0
    assert float((mixed - whole[order]).abs().max()) < 0.01 * spread


@pytest.mark.parametrize("kind", [d.kind for d in OF_MODEL])
def test_images_of_one_colour_have_finite_scores(kind: str, found: dict[str, Fitted]) -> None:
    shades = np.stack([np.full((16, 16, 3), value, np.uint8) for value in (0, 128, 255)])
    assert scored(found[kind], Images(shades, np.zeros(3, np.int64)), 3).isfinite().all()


def test_labels_of_what_is_scored_do_not_matter(found: dict[str, Fitted]) -> None:
    other = Images(NEAR.images, NEAR.labels[::-1].copy())
    for detector in found.values():
        ours, theirs = (
            torch.cat([detector(look) for look, _ in batches_of(PROBE, MODEL, images)]) for images in (NEAR, other)
        )
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("detector", OF_MODEL, ids=lambda d: d.kind)
def test_a_network_with_dead_channels_has_finite_scores(detector: Detector) -> None:
    """Units that never fire, as after a stage whose normalisation scales half of its channels to nothing."""
    dead = classifier()
    for name, parameter in dead.network.named_parameters():
        if "norm" in name:
            parameter.data[::2] = 0.0
    other = probe_of(dead)
    score = fitted(other, dead, {"it": detector}, VALIDATION)[0]["it"]
    assert torch.cat([score(look) for look, _ in batches_of(other, dead, NEAR)]).isfinite().all()
