"""Inception's features from weights on disk."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torchvision.models import inception_v3

from synthood.errors import SynthoodError
from synthood.generators.quality import inception


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the form that pytorch-fid stores: 1008 outputs, no auxiliary classifier."""
    torch.manual_seed(0)
    network = inception_v3(weights=None, num_classes=1008, aux_logits=False, init_weights=False)
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save(network.state_dict(), path)
    return path


def test_pooling_is_tensorflows(weights: Path) -> None:
    """Against the branches by their formulas: an average of what lies inside the image, and a maximum."""
    name, network = inception.load(weights)
    assert name == "inception-fid"
    seen = {}
    for key in ("Mixed_5b", "Mixed_7c"):
        block = network.get_submodule(key)
        block.register_forward_pre_hook(lambda _, inputs, key=key: seen.__setitem__(key, inputs[0]))
        branch = network.get_submodule(f"{key}.branch_pool.conv")
        branch.register_forward_pre_hook(lambda _, inputs, key=key: seen.__setitem__(f"{key} pool", inputs[0]))
    features = inception.features(network, np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), np.uint8))
    assert features.shape == (1, 2048)
    expected = F.avg_pool2d(seen["Mixed_5b"], 3, 1, 1, count_include_pad=False)
    torch.testing.assert_close(seen["Mixed_5b pool"], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(seen["Mixed_7c pool"], F.max_pool2d(seen["Mixed_7c"], 3, 1, 1))


def test_other_weights_are_an_error(weights: Path, tmp_path: Path) -> None:
    state = torch.load(weights, weights_only=True)
    kernel = state.pop("Mixed_5b.branch1x1.conv.weight")
    torch.save(state, tmp_path / "cut.pth")
    with pytest.raises(SynthoodError, match=r"cut\.pth: not a state dict of Inception v3"):
        inception.load(tmp_path / "cut.pth")
    torch.save(state | {"Mixed_5b.branch1x1.conv.weight": kernel * torch.nan}, tmp_path / "nan.pth")
    with pytest.raises(SynthoodError, match=r"nan\.pth: Mixed_5b\.branch1x1\.conv\.weight is not finite; the file is"):
        inception.load(tmp_path / "nan.pth")
