"""The network as detectors see it: maps by hooks, passes computed once, networks without maps."""

import pytest
import torch
from torch import Tensor, nn

from synthood.errors import SynthoodError
from synthood.evaluation.detectors.of_model.gram import Gram
from synthood.evaluation.detectors.of_model.odin import Odin
from synthood.evaluation.model_search import ImageValidation, fitted
from synthood.evaluation.probe import BatchView
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.residual import Network
from synthood.training.networks.model import inputs_of
from toy_models import Flat, classifier, pictures, probe_of


def inputs(model, count: int = 4) -> Tensor:
    return next(inputs_of(model, pictures(count, 1).images, torch.device("cpu"), count))


def test_maps_are_the_blocks_outputs_and_hooks_are_gone() -> None:
    model = classifier()
    probe = probe_of(model)
    x = inputs(model)
    run = probe.run(x, mapped=True)
    step, expected = x, []
    for block in (model.network.stem, *model.network.stages):
        step = block(step)
        expected.append(step)
    assert all(torch.equal(a, b) for a, b in zip(run.maps, expected, strict=True))
    assert len(run.convolved) == sum(isinstance(m, nn.Conv2d) for m in model.network.modules())
    assert probe.stages(run.maps) == [1, 2, 3]
    assert not any(m._forward_hooks for m in model.network.modules())
    assert torch.equal(run.logits, model.network(x))


def test_the_last_map_of_a_wide_network_is_normalised() -> None:
    network = build(Network(name="wrn-40-2", width=8), 3, seed=0)
    probe = probe_of(classifier(network))
    run = probe.run(torch.randn(2, 3, 16, 16), mapped=True)
    assert [run.maps[i].shape[1] for i in probe.stages(run.maps)] == [16, 32, 64]
    torch.testing.assert_close(run.maps[-1].mean((2, 3)), run.features)


class Named(nn.Module):
    """A network that names its stages as timm's do."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Sequential(
            nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.Conv2d(4, 6, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        self.model.feature_info = [{"module": "1"}, {"module": "3"}]
        self.head = nn.Linear(6, 3)

    def features(self, images: Tensor) -> Tensor:
        return self.model(images)


def test_stages_by_name_and_a_map_replaced_by_a_hook() -> None:
    torch.manual_seed(0)
    model = classifier(Named())
    probe = probe_of(model)
    x = inputs(model)
    run = probe.run(x, mapped=True)
    assert [m.shape[1] for m in run.maps] == [4, 6]
    changed = 2 * run.maps[0]
    expected = model.network.head(model.network.model[2:](changed))
    torch.testing.assert_close(probe.with_map(x, 0, changed), expected)


def test_a_network_without_maps_is_told_where_maps_are_looked_at() -> None:
    torch.manual_seed(0)
    model = classifier(Flat(3 * 16 * 16))
    sets = ImageValidation(pictures(9, 1), pictures(9, 2))
    with pytest.raises(SynthoodError, match="this network has no convolutional maps, which gram, rankfeat and mds"):
        fitted(probe_of(model), model, {"gram": Gram()}, sets)
    assert list(fitted(probe_of(model), model, {"odin": Odin()}, sets)[0]) == ["odin"]


def test_a_pass_is_made_once_for_all_who_ask() -> None:
    model = classifier()
    look, count = BatchView(probe_of(model), inputs(model)), []
    model.network.stem.register_forward_hook(lambda *given: count.append(1))
    maps, plain = look.mapped, look.plain
    assert plain is maps
    assert look.mapped is maps
    first = look.gradient(look.attached, ("it",), lambda run: run.logits[:, 0])
    assert look.gradient(look.attached, ("it",), lambda run: run.logits[:, 1]) is first
    assert len(count) == 2
