"""Fitting a BigGAN by the hinge loss, and what is watched on the way."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from synthood.common.images import ImageSet
from synthood.common.iterate import ResumeFile
from synthood.errors import SynthoodError
from synthood.generators.biggan import hinge
from synthood.generators.biggan import network as biggan
from synthood.generators.biggan.hinge import Steps, build_parts
from synthood.generators.biggan.settings import HingeFit, Watch
from synthood.generators.biggan.watching import Best, Watcher
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.residual import Network
from synthood.training.networks.model import Classifier

NO_RESUME = ResumeFile(None, "")
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def small_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(biggan, "STATISTICS_BATCH", 4)


def real_images(count: int = 24, side: int = 32) -> ImageSet:
    images = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8)
    return ImageSet(images, np.arange(count, dtype=np.int64) % 2, ["cat", "dog"])


def settings(**changes: Any) -> HingeFit:
    values: dict[str, Any] = {
        "objective": "hinge",
        "steps": 3,
        "batch_size": 4,
        "latent_size": 4,
        "channel_width": 8,
        "discriminator_width": 8,
        "discriminator_steps": 1,
        "watch": Watch(every=2, images=4, min_diversity=0),
    }
    return HingeFit(**(values | changes))


def classifier() -> Classifier:
    network = Network(name="resnet8", width=8)
    return Classifier(network, ["cat", "dog"], [0.5] * 3, [0.25] * 3, build(network, 2, seed=0))


def fit(chosen: HingeFit, resume: ResumeFile = NO_RESUME, judge: Classifier | None = None) -> Any:
    train = real_images()
    pixels, labels = torch.from_numpy(train.images).permute(0, 3, 1, 2), torch.from_numpy(train.labels)
    watcher = Watcher(chosen.watch, train, judge, CPU)
    return hinge.fit(pixels, labels, watcher, chosen, torch.float32, resume)


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(value, b[key]) for key, value in a.items())


def test_fit_measures_every_so_often_and_at_the_end() -> None:
    network, measured = fit(settings(), judge=classifier())
    assert [row["step"] for row in measured] == [2, 3]
    assert measured[0].keys() == {
        "step", "diversity", "least_diversity", "collapsed_classes", "fid", "fid_floor", "agreement",
    }  # fmt: skip
    assert not network.training
    state = network.state_dict()
    assert all(bool(value.isfinite().all()) for value in state.values())
    assert len(torch.unique(state["generator.layers.0.bn_0.running_means"], dim=0)) == 17


def test_resumed_equals_undisturbed(tmp_path: Path, interrupted: Callable[..., ResumeFile]) -> None:
    """Broken off after a measurement, whose best state is kept."""
    with pytest.raises(KeyboardInterrupt):
        fit(settings(), interrupted(tmp_path, "biggan", 2), classifier())
    resumed, measured = fit(settings(), ResumeFile(tmp_path, "job"), classifier())
    undisturbed, expected = fit(settings(), NO_RESUME, classifier())
    assert measured == expected
    assert equal(resumed.state_dict(), undisturbed.state_dict())


def test_collapse_is_an_error_or_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    strict = {"every": 5, "images": 4, "min_diversity": 1.0}
    with pytest.raises(SynthoodError, match=r"at every measurement a class was collapsed.*1\.0 times as far apart"):
        fit(settings(steps=1, watch=Watch(**strict)))
    fit(settings(steps=1, watch=Watch(**strict, on_collapse="warn")))
    assert "the last state is kept" in capsys.readouterr().out


def steps_of(chosen: HingeFit) -> Steps:
    train = real_images(8)
    parts = build_parts(chosen, 2, 32, CPU)
    parts.network.train()
    pixels = torch.from_numpy(train.images).permute(0, 3, 1, 2)
    return Steps(parts, pixels, torch.from_numpy(train.labels), chosen, torch.float32)


def test_each_update_moves_its_own_network_alone() -> None:
    steps = steps_of(settings())
    networks = (steps.parts.network, steps.parts.discriminator)

    def states() -> list[list[Tensor]]:
        return [[p.detach().clone() for p in network.parameters()] for network in networks]

    def moved(before: list[list[Tensor]], after: list[list[Tensor]]) -> list[bool]:
        return [
            any(not torch.equal(a, b) for a, b in zip(x, y, strict=True)) for x, y in zip(before, after, strict=True)
        ]

    start = states()
    loss = steps.discriminate(torch.Generator().manual_seed(0))
    middle = states()
    steps.generate(torch.Generator().manual_seed(1))
    assert moved(start, middle) == [False, True]
    assert moved(middle, states()) == [True, False]
    assert loss > 0


@pytest.mark.parametrize(("batch", "parts", "sizes"), [(8, 1, [8]), (8, 3, [3, 3, 2]), (2, 5, [1, 1])])
def test_a_batch_is_shared_out_whole(batch: int, parts: int, sizes: list[int]) -> None:
    assert steps_of(settings(batch_size=batch, accumulate=parts))._counts() == sizes


def test_the_discriminator_learns_to_tell_real_from_made() -> None:
    steps = steps_of(settings(batch_size=8, augmentation=[], discriminator_learning_rate=2e-3))
    losses = [steps.discriminate(torch.Generator().manual_seed(step)) for step in range(12)]
    assert np.mean(losses[-3:]) < 0.7 * np.mean(losses[:3])


@pytest.mark.parametrize("side", [64, 128])
def test_larger_images(side: int) -> None:
    parts = build_parts(settings(), 2, side, CPU)
    noise, labels = torch.zeros(2, 4), torch.eye(2)
    with torch.no_grad(), biggan.batch_statistics(parts.network):
        made = parts.network(noise, labels, 1.0)
        assert made.shape == (2, 3, side, side)
        assert parts.discriminator(made, torch.tensor([0, 1])).shape == (2,)


def test_watcher_measures_diversity_by_class() -> None:
    """Class cat as far apart as real ones, class dog one image again and again."""
    train = real_images(40)
    watcher = Watcher(Watch(images=20, min_diversity=0.5), train, None, CPU)
    made = train.images[:20].copy()
    made[1::2] = made[1]
    assert watcher.diversity(made) == pytest.approx([1, 0], abs=0.05)
    figures = watcher.measure(made)
    assert figures["collapsed_classes"] == 1
    assert figures["least_diversity"] == pytest.approx(0, abs=1e-6)
    assert watcher.measure(train.images[20:])["collapsed_classes"] == 0


def test_watcher_compares_features_with_real_ones() -> None:
    """Real images come near the floor, noise of another kind does not."""
    train = real_images(200)
    watcher = Watcher(Watch(images=60), train, classifier(), CPU)
    real = watcher.measure(train.images[:60])["fid"]
    other = watcher.measure(train.images[:60] // 4)
    assert other["fid"] > 10 * max(real, watcher.floor)
    assert min(real, watcher.floor) > 0
    assert other["fid_floor"] == watcher.floor


def test_too_few_images_to_watch_are_an_error() -> None:
    with pytest.raises(SynthoodError, match=r"watch\.images: 3 are not two of each of 2 classes"):
        Watcher(Watch(images=3), real_images(), None, CPU)


def test_the_best_state_has_least_fid_and_no_collapsed_class() -> None:
    best = Best()
    offers = [(1, 5.0, 0), (2, 1.0, 1), (3, 3.0, 0), (4, 4.0, 0)]
    for step, fid, collapsed in offers:
        best.offer(step, {"fid": fid, "collapsed_classes": collapsed}, {"w": torch.tensor(float(step))})
    assert (best.step, best.state["w"].item()) == (3, 3.0)
    copy = Best()
    copy.load_state_dict(best.state_dict())
    copy.offer(5, {"fid": 3.5, "collapsed_classes": 0}, {"w": torch.tensor(5.0)})
    assert copy.step == 3


def test_without_a_classifier_the_latest_state_that_is_not_collapsed_is_best() -> None:
    best = Best()
    for step, collapsed in ((1, 0), (2, 0), (3, 2)):
        best.offer(step, {"collapsed_classes": collapsed}, {})
    assert best.step == 2
