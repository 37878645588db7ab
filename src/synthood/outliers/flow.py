"""The conditional volume-preserving network of NCIS (arXiv 2411.13619), to which most dimensions of tokens are 0."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthood.common.finite import check_rows
from synthood.common.iterate import Iteration, ResumeFile
from synthood.common.seeds import derived_seed
from synthood.common.tensors import read_tensors, write_tensors
from synthood.errors import SynthoodError
from synthood.outliers.inverted_settings import FlowSettings
from synthood.training.batches import Composition

CPU = torch.device("cpu")
FINAL_SHARE = 0.1
"""Learning rate at the end, as a share of the first."""
EQUAL_WITHIN = 1e-6
"""Spread of a class's tokens, as a share of their length, below which they are one token."""


class Rotation(nn.Module):
    """x Q^T + b with Cayley's Q = (I + S)^-1 (I - S) of S = A - A^T, so that Q^T Q = I and det Q = 1."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.angles = nn.Parameter(torch.randn(size, size) / size**0.5)  # far from the identity, however many
        self.bias = nn.Parameter(torch.zeros(size))

    def matrix(self) -> Tensor:
        """Q [D,D]."""
        upper, one = self.angles.triu(1), torch.eye(len(self.angles)).to(self.angles)
        skew = upper - upper.T
        found: Tensor = torch.linalg.solve(one + skew, one - skew)
        return found

    def forward(self, points: Tensor, labels: Tensor) -> Tensor:
        return F.linear(points, self.matrix(), self.bias)

    def inverse(self, points: Tensor, labels: Tensor) -> Tensor:
        return F.linear(points - self.bias, self.matrix().T)


class Coupling(nn.Module):
    """Adds to the first half of x a function of the second half and the class: a shear, of determinant 1."""

    def __init__(self, size: int, classes: int, width: int) -> None:
        super().__init__()
        self.moved = size // 2
        hidden = width * (size - self.moved)
        self.inputs = nn.Linear(size - self.moved, hidden)
        self.classes = nn.Embedding(classes, hidden)
        self.rest = nn.Sequential(nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, self.moved))

    def shift(self, rest: Tensor, labels: Tensor) -> Tensor:
        found: Tensor = self.rest(self.inputs(rest) + self.classes(labels))
        return found

    def forward(self, points: Tensor, labels: Tensor) -> Tensor:
        first, rest = points[:, : self.moved], points[:, self.moved :]
        return torch.cat([first + self.shift(rest, labels), rest], 1)

    def inverse(self, points: Tensor, labels: Tensor) -> Tensor:
        first, rest = points[:, : self.moved], points[:, self.moved :]
        return torch.cat([first - self.shift(rest, labels), rest], 1)


class VolumePreserving(nn.Module):
    """Rotations and couplings in turns: z = f(x, c) [N,D] of points x [N,D] and classes c [N], with log|det| = 0."""

    def __init__(self, size: int, classes: int, settings: FlowSettings) -> None:
        super().__init__()
        pairs = [(Rotation(size), Coupling(size, classes, settings.width)) for _ in range(settings.layers)]
        self.layers = nn.ModuleList([*(layer for pair in pairs for layer in pair), Rotation(size)])

    def forward(self, points: Tensor, labels: Tensor) -> Tensor:
        for layer in self.layers:
            points = layer(points, labels)
        return points

    def inverse(self, points: Tensor, labels: Tensor) -> Tensor:
        for layer in reversed(self.layers):
            assert isinstance(layer, Rotation | Coupling)
            points = layer.inverse(points, labels)
        return points


@dataclass
class Flow:
    """A fitted network between tokens [N,D] and z [N,D]: of tokens less their centre [D], by one scale for all."""

    network: VolumePreserving
    settings: FlowSettings
    classes: list[str]
    centre: Tensor
    scale: float
    invariants: int

    @torch.no_grad()
    def to_latent(self, tokens: Tensor, labels: Tensor) -> Tensor:
        """z float32 [N,D] of tokens float32 [N,D], as of the classes [N]."""
        found: Tensor = self.network((tokens - self.centre) / self.scale, labels)
        return found

    @torch.no_grad()
    def to_tokens(self, latent: Tensor, labels: Tensor) -> Tensor:
        """Tokens float32 [N,D] of z float32 [N,D], as of the classes [N]."""
        return self.network.inverse(latent, labels) * self.scale + self.centre

    def save(self, path: Path, space: dict[str, str]) -> None:
        arrays = {f"network.{key}": value.numpy() for key, value in self.network.state_dict().items()}
        header = {
            "flow": self.settings.canonical(),
            "classes": self.classes,
            "space": space,
            "scale": self.scale,
            "invariants": self.invariants,
        }
        write_tensors(path, arrays | {"centre": self.centre.numpy()}, header)

    @classmethod
    def load(cls, path: Path) -> "Flow":
        arrays, header = read_tensors(path)
        settings, centre = FlowSettings.parse(header["flow"]), torch.from_numpy(arrays["centre"])
        network = VolumePreserving(len(centre), len(header["classes"]), settings)
        state = {key.removeprefix("network."): torch.from_numpy(value) for key, value in arrays.items()}
        network.load_state_dict({key: value for key, value in state.items() if key != "centre"})
        return cls(network.eval(), settings, header["classes"], centre, header["scale"], header["invariants"])


def check_tokens(tokens: Tensor, labels: Tensor, classes: Sequence[str]) -> None:
    """Raises SynthoodError at a token that is not finite, and at a class of fewer than two different tokens."""

    def named(index: int) -> str:
        return f"the token of image {index} (class {classes[int(labels[index])]!r})"

    check_rows(tokens, named, "its numbers", "run invert again, with a lower inversion.learning_rate")
    for label, name in enumerate(classes):
        own = tokens[labels == label]
        if len(own) < 2:
            raise SynthoodError(
                f"class {name!r} has {len(own)} inverted image{'s' * (len(own) != 1)}, and a manifold needs at least "
                f"2; give the class more training images, or leave it out of the dataset's `classes`"
            )
        if float((own - own[0]).abs().max()) <= EQUAL_WITHIN * float(own.abs().max()):
            raise SynthoodError(
                f"all {len(own)} tokens of class {name!r} are equal; its images are one image, or "
                f"inversion.learning_rate is too low"
            )


def invariant_count(points: Tensor, labels: Tensor, variance: float) -> int:
    """How many principal directions of a class's points [N,D] hold its last `variance`, on average over the classes."""
    found = []
    for label in labels.unique():
        own = points[labels == label].double()
        spread = torch.linalg.svdvals(own - own.mean(0)).square()
        spread = F.pad(spread, (0, points.shape[1] - len(spread)))
        left = spread.flip(0).cumsum(0)  # from the smallest on
        found.append(int((left <= variance * spread.sum()).sum()))
    return min(max(1, round(sum(found) / len(found))), points.shape[1] - 1)


def fit_flow(
    tokens: Tensor,
    labels: Tensor,
    classes: list[str],
    settings: FlowSettings,
    resume: ResumeFile,
    device: torch.device = CPU,
) -> Flow:
    """Brings the last K dimensions of z near 0, and x back from z without them: mean z_K^2 + mean (x - x')^2.

    Of tokens float32 [N,D] with labels int64 [N]. Raises SynthoodError where tokens are not finite, or a class has
    fewer than two different ones.
    """
    check_tokens(tokens, labels, classes)
    centre = tokens.mean(0)
    scale = float((tokens - centre).square().mean().sqrt())
    points = (tokens - centre) / scale
    invariants = invariant_count(points, labels, settings.variance)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(settings.seed, "flow"))
        network = VolumePreserving(points.shape[1], len(classes), settings)
    network.to(device).train()
    points, known = points.to(device), labels.to(device)
    optimizer = torch.optim.Adam(network.parameters(), settings.learning_rate)
    composition = Composition(len(points), 0, settings.batch_size, settings.batch_size, settings.seed)
    total = settings.epochs * composition.steps_per_epoch
    loop = Iteration("flow", total, resume, {"network": network, "optimizer": optimizer})
    batches: list[Tensor] = []
    for step in loop:
        epoch, position = divmod(step, composition.steps_per_epoch)
        batches = composition.epoch(epoch) if position == 0 or not batches else batches
        rate = settings.learning_rate * (1 - (1 - FINAL_SHARE) * step / total)
        optimizer.param_groups[0]["lr"] = rate
        chosen = batches[position].to(device)
        invariant, lost = losses(network, points[chosen], known[chosen], invariants)
        optimizer.zero_grad()
        (invariant + lost).backward()
        optimizer.step()
        loop.check(step, rate, epoch, invariant=float(invariant.detach()), lost=float(lost.detach()))
    return Flow(network.cpu().eval(), settings, classes, centre, scale, invariants)


def losses(network: VolumePreserving, points: Tensor, labels: Tensor, invariants: int) -> tuple[Tensor, Tensor]:
    """Mean square of the last K dimensions of z, and of what x loses without them."""
    latent = network(points, labels)
    without = torch.cat([latent[:, :-invariants].detach(), torch.zeros_like(latent[:, -invariants:])], 1)
    return latent[:, -invariants:].square().mean(), F.mse_loss(network.inverse(without, labels), points)
