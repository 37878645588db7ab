"""Which images each batch holds: SIO's composition of real and synthetic ones."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from synthood.common.seeds import generator


@dataclass(frozen=True)
class Composition:
    """SIO (arXiv 2303.14531): every batch holds `real_per_batch` real images, the rest synthetic.

    An epoch has as many steps as without synthetic images, so a share of the real ones waits for the next epoch.
    Indices below `real` are real images, those from `real` on synthetic ones. Both are drawn without replacement
    within an epoch, and from the start again where they run short.
    """

    real: int
    synthetic: int
    batch_size: int
    real_per_batch: int
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(self.real / self.batch_size)

    def epoch(self, epoch: int) -> list[Tensor]:
        """Indices int64 of each batch of an epoch; without synthetic images the last may be shorter."""
        order = torch.randperm(self.real, generator=generator(self.seed, "real", epoch))
        if self.real_per_batch == self.batch_size:
            return list(order.split(self.batch_size))
        other = torch.randperm(self.synthetic, generator=generator(self.seed, "synthetic", epoch))
        real = self._dealt(order, self.real_per_batch)
        synthetic = self.real + self._dealt(other, self.batch_size - self.real_per_batch)
        mixing = generator(self.seed, "mixing", epoch)
        joined = torch.cat([real, synthetic], 1)
        return [batch[torch.randperm(self.batch_size, generator=mixing)] for batch in joined]

    def _dealt(self, order: Tensor, each: int) -> Tensor:
        """Indices [steps,each] in the given order, again and again."""
        return order[torch.arange(self.steps_per_epoch * each) % len(order)].view(-1, each)


def sample_weights(is_real: Tensor, alpha: float) -> Tensor:
    """Weights float32 [N] of sum 1: alpha over the real samples, 1 - alpha over the others (arXiv 2303.14531)."""
    count = is_real.sum()
    return torch.where(is_real, alpha / count, (1 - alpha) / (len(is_real) - count))
