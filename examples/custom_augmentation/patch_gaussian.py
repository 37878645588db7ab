"""Patch Gaussian (arXiv 1906.02611, section 3): noise in a square of each image, at a random place."""

import torch
from torch import Tensor


def patch_gaussian(images: Tensor, random: torch.Generator, side: int = 16, deviation: float = 0.3) -> Tensor:
    """Images float32 [N,3,H,W] in [0,1] with noise around a random pixel, up to this deviation in each image."""
    count, _, height, width = images.shape
    # Every number is drawn on the CPU, from `random`, and then moved to where the images are.
    centre = (torch.rand((count, 2), generator=random) * torch.tensor([height, width])).floor().to(images.device)
    strength = (deviation * torch.rand((count, 1, 1, 1), generator=random)).to(images.device)
    noise = torch.randn(images.shape, generator=random).to(images.device)
    rows, columns = torch.arange(height, device=images.device), torch.arange(width, device=images.device)
    top, left = (centre - side // 2).split(1, dim=1)
    in_rows = (rows >= top) & (rows < top + side)
    in_columns = (columns >= left) & (columns < left + side)
    inside = (in_rows[:, :, None] & in_columns[:, None, :])[:, None]
    return torch.where(inside, images + strength * noise, images).clamp(0, 1)
