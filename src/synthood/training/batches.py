"""Which images stand in each batch: SIO's composition of real and synthetic ones."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from synthood.common.seeds import generator


@dataclass(frozen=True)
class Composition:
    """SIO (arXiv 2303.14531): every batch holds `real_per_batch` real images, the rest synthetic.

    An epoch has as many steps as without synthetic images, so a share of the real ones waits for the next epoch.
    Indices below `real` are real images, those from `real` on synthetic ones.
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
        """Indices int64 of each batch of an epoch; without synthetic images the last may be shorter.

        Synthetic images are drawn without replacement and from the start again when they run short.
        """
        order = torch.randperm(self.real, generator=generator(self.seed, "real", epoch))
        real = [order[step * self.real_per_batch :][: self.real_per_batch] for step in range(self.steps_per_epoch)]
        wanted = self.batch_size - self.real_per_batch
        if wanted == 0:
            return real
        order = torch.randperm(self.synthetic, generator=generator(self.seed, "synthetic", epoch))
        position = torch.arange(self.steps_per_epoch * wanted) % self.synthetic
        synthetic = self.real + order[position].view(self.steps_per_epoch, wanted)
        mixing = generator(self.seed, "mixing", epoch)
        joined = [torch.cat(pair) for pair in zip(real, synthetic, strict=True)]
        return [batch[torch.randperm(len(batch), generator=mixing)] for batch in joined]
