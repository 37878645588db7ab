"""Which images each batch holds: SIO's composition of real and synthetic ones."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from synthood.common.seeds import generator
from synthood.errors import SynthoodError, nearest


@dataclass(frozen=True)
class Composition:
    """SIO (arXiv 2303.14531): every batch holds `real_per_batch` real images, the rest synthetic.

    An epoch has as many steps as without synthetic images, so a share of the real ones waits for the next epoch.
    Indices below `real` are real images, those from `real` on synthetic ones. Both are drawn without replacement
    within an epoch, and from the start again where they run short. With `labels` int64 of all images, each of the two
    kinds is drawn with every class as often as the others, by `balanced_order`.
    """

    real: int
    synthetic: int
    batch_size: int
    real_per_batch: int
    seed: int
    labels: Tensor | None = None

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(self.real / self.batch_size)

    def epoch(self, epoch: int) -> list[Tensor]:
        """Indices int64 of each batch of an epoch; without synthetic images the last may be shorter."""
        order = self._order(0, self.real, generator(self.seed, "real", epoch))
        if self.real_per_batch == self.batch_size:
            return list(order.split(self.batch_size))
        other = self._order(self.real, self.synthetic, generator(self.seed, "synthetic", epoch))
        real = self._dealt(order, self.real_per_batch)
        synthetic = self.real + self._dealt(other, self.batch_size - self.real_per_batch)
        mixing = generator(self.seed, "mixing", epoch)
        joined = torch.cat([real, synthetic], 1)
        return [batch[torch.randperm(self.batch_size, generator=mixing)] for batch in joined]

    def _order(self, first: int, count: int, random: torch.Generator) -> Tensor:
        """Indices [count], from 0, of the images from `first` on in the order of an epoch."""
        if self.labels is None:
            return torch.randperm(count, generator=random)
        return balanced_order(self.labels[first : first + count], random)

    def _dealt(self, order: Tensor, each: int) -> Tensor:
        """Indices [steps,each] in the given order, again and again."""
        return order[torch.arange(self.steps_per_epoch * each) % len(order)].view(-1, each)


def balanced_order(labels: Tensor, random: torch.Generator) -> Tensor:
    """Indices int64 [N] into labels [N] in rounds: each has one image of every class, in random order.

    A class's images come in random order, and from the start again where they run short.
    """
    classes = labels.unique().tolist()
    rounds = math.ceil(len(labels) / len(classes))
    columns = []
    for label in classes:
        own = (labels == label).nonzero().flatten()
        own = own[torch.randperm(len(own), generator=random)]
        columns.append(own[torch.arange(rounds) % len(own)])
    table = torch.stack(columns, 1)
    return table.gather(1, torch.rand(table.shape, generator=random).argsort(1)).flatten()[: len(labels)]


def class_weights(labels: Tensor, classes: list[str], weights: str | Mapping[str, float]) -> Tensor:
    """Weights float32 [C] of the samples of each class: given by name, 1 where not named, or balanced.

    The latter are n / (C n_c), with mean 1 over the labels [n], as scikit-learn's; C counts the classes that are there.
    Raises SynthoodError for names of no class.
    """
    if not isinstance(weights, str):
        if unknown := next((name for name in weights if name not in classes), None):
            raise SynthoodError(f"class_weights.{unknown}: no class of the data set{nearest(unknown, classes)}")
        return torch.tensor([weights.get(name, 1.0) for name in classes])
    counts = torch.bincount(labels, minlength=len(classes))
    return len(labels) / ((counts > 0).sum().clamp(min=1) * counts.clamp(min=1)).float()


def sample_weights(is_real: Tensor, alpha: float) -> Tensor:
    """Weights float32 [N] of sum 1: alpha over the real samples, 1 - alpha over the others (arXiv 2303.14531)."""
    count = is_real.sum()
    return torch.where(is_real, alpha / count, (1 - alpha) / (len(is_real) - count))
