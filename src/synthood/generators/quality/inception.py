"""Inception v3's pooled features of images, from weights on disk."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthood.common.finite import check_state
from synthood.common.states import read_state
from synthood.errors import SynthoodError

SIDE = 299
BATCH = 50
FID_OUTPUTS = 1008
"""Of the network that published FIDs are of; torchvision's has 1000."""
FID_BLOCKS = ("Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e", "Mixed_7b")


def load(path: Path) -> tuple[str, nn.Module]:
    """Name and network: `inception-fid` (TensorFlow's of 2015, as pytorch-fid stores it) or `inception-torchvision`."""
    from torchvision.models import inception_v3

    state = read_state(path)
    outputs = len(state.get("fc.bias", ()))
    aux = any(key.startswith("AuxLogits") for key in state)
    network = inception_v3(weights=None, num_classes=max(outputs, 2), aux_logits=aux, init_weights=False)
    expected = network.state_dict()
    counters = {key: value for key, value in expected.items() if key.endswith("num_batches_tracked")}
    state = counters | state
    wrong = sorted(k for k in state.keys() | expected.keys() if k not in state or k not in expected)
    if wrong or any(state[key].shape != expected[key].shape for key in expected):
        raise SynthoodError(f"{path}: not a state dict of Inception v3 ({wrong[:1] or 'other shapes'})")
    check_state(state, str(path), "the file is broken")
    network.load_state_dict(state)
    network.fc, network.transform_input = nn.Identity(), False
    if outputs == FID_OUTPUTS:
        pool_as_tensorflow(network)
    return "inception-fid" if outputs == FID_OUTPUTS else "inception-torchvision", network.eval()


def pool_as_tensorflow(network: nn.Module) -> None:
    """Makes the pooling branches average without the padding, and the last one take the maximum."""

    def without_padding(_: nn.Module, inputs: tuple[Tensor]) -> Tensor:
        (x,) = inputs
        inside = F.avg_pool2d(torch.ones_like(x[:1, :1]), 3, 1, 1)
        return x / inside

    for name in FID_BLOCKS:
        network.get_submodule(f"{name}.branch_pool").register_forward_pre_hook(without_padding)
    seen: list[Tensor] = []
    network.get_submodule("Mixed_7c").register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network.get_submodule("Mixed_7c.branch_pool").register_forward_pre_hook(
        lambda _, inputs: F.max_pool2d(seen.pop(), 3, 1, 1)
    )


@torch.no_grad()
def features(network: nn.Module, images: np.ndarray) -> np.ndarray:
    """Pooled features float32 [N,2048] of images uint8 [N,H,W,3], resized to 299 pixels."""
    found = []
    for part in torch.from_numpy(images).split(BATCH):
        x = F.interpolate(part.permute(0, 3, 1, 2).float(), (SIDE, SIDE), mode="bilinear", align_corners=False)
        found.append(network(x / 127.5 - 1))
    return torch.cat(found).numpy()
