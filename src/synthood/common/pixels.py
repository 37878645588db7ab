"""Images as networks take them."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def signed(images: np.ndarray | Tensor) -> Tensor:
    """Images uint8 [N,H,W,3] as float32 [N,3,H,W] in [-1,1]."""
    return torch.as_tensor(images).permute(0, 3, 1, 2).float() / 127.5 - 1


def resized(images: Tensor, height: int, width: int, mode: str = "bicubic") -> Tensor:
    """Images float [N,C,H,W] in another size, with Pillow's filter where they shrink."""
    if images.shape[2:] == (height, width):
        return images
    return F.interpolate(images, (height, width), mode=mode, antialias=True)
