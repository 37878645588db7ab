"""Pictures of fractals, PixMix's mixing set without a download."""

from __future__ import annotations

from synthood.common.lazy import Tensor, torch
from synthood.common.seeds import generator

MAPS, POINTS, STEPS, SETTLING = 4, 512, 48, 8


def fractals(count: int, side: int, seed: int) -> Tensor:
    """Pictures float32 [count,3,side,side] in [0,1] of iterated function systems, each drawn from its own seed.

    Points wander by random contractions, each with a colour that the points take on by halves; a pixel shows the mean
    colour of its points, the brighter the more of them (the fractal flame, Draves 2003).
    """
    return torch.stack([fractal(side, generator(seed, index)) for index in range(count)])


def fractal(side: int, random: torch.Generator) -> Tensor:
    """One picture float32 [3,side,side]."""
    linear = torch.linalg.qr(torch.randn((MAPS, 2, 2), generator=random))[0]
    linear = linear * (0.35 + 0.5 * torch.rand((MAPS, 1, 2), generator=random))
    shift = 2 * torch.rand((MAPS, 2), generator=random) - 1
    colours = torch.rand((MAPS, 3), generator=random)
    points, shade = torch.zeros((POINTS, 2)), torch.full((POINTS, 3), 0.5)
    places, shades = [], []
    for step in range(STEPS):
        chosen = torch.randint(MAPS, (POINTS,), generator=random)
        points = (linear[chosen] @ points[:, :, None]).squeeze(2) + shift[chosen]
        shade = (shade + colours[chosen]) / 2
        if step >= SETTLING:
            places.append(points)
            shades.append(shade)
    place, colour = torch.cat(places), torch.cat(shades)
    low, high = place.amin(0), place.amax(0)
    cell = ((place - low) / (high - low).clamp(min=1e-6) * (side - 1)).round().long()
    index = cell[:, 0] * side + cell[:, 1]
    hits = torch.zeros(side * side).index_add_(0, index, torch.ones(len(index)))
    total = torch.zeros((side * side, 3)).index_add_(0, index, colour)
    light = (1 + hits).log() / (1 + hits.max()).log()
    return (total / hits.clamp(min=1)[:, None] * light[:, None]).T.reshape(3, side, side).clamp(0, 1)
