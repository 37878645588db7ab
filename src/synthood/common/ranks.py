"""Several processes that train one network, each on a device of its own, as torchrun starts them."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from synthood.common.stage import under_torchrun


@dataclass(frozen=True)
class Ranks:
    """Which process of how many this is; the first is the main one: it alone prints and writes."""

    index: int = 0
    count: int = 1

    @property
    def is_main(self) -> bool:
        return self.index == 0

    def shard_rows(self, rows: Tensor, backwards: bool = False) -> Tensor:
        """This process's rows, every `count`-th one; backwards, the last process gets the first row."""
        return rows[self.count - 1 - self.index if backwards else self.index :: self.count]

    def shard_batch(self, is_real: Tensor) -> Tensor:
        """Positions int64, in order, of a batch that this process computes: as many real images, bool [N], and
        synthetic ones as every other process, up to one."""
        real, synthetic = is_real.nonzero().flatten(), (~is_real).nonzero().flatten()
        return torch.cat([self.shard_rows(real), self.shard_rows(synthetic, backwards=True)]).sort().values


SINGLE_PROCESS = Ranks()


def ranks_of_torchrun() -> Ranks:
    """Those of the environment; one process alone where torchrun did not start it."""
    return Ranks(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])) if under_torchrun() else SINGLE_PROCESS


@contextmanager
def joined(ranks: Ranks, device: torch.device) -> Iterator[None]:
    """Lets the processes talk: over NCCL between GPUs, over Gloo between CPUs."""
    if ranks.count == 1:
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
        dist.barrier()  # none leaves, or clears what another still has to read
    finally:
        dist.destroy_process_group()


def all_gather_rows(part: Tensor, rows: Tensor, total: int) -> Tensor:
    """All rows [total,...] of a tensor whose `rows` are in this process; no gradients."""
    whole = part.new_zeros((total, *part.shape[1:]))
    whole[rows] = part
    dist.all_reduce(whole)  # the other processes add zeros
    return whole


class AllGather(torch.autograd.Function):
    """`all_gather_rows` with gradients, for what every process goes on to compute in the same way.

    `summed` says that processes go on differently, so that the gradient is the sum of theirs.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, part: Tensor, rows: Tensor, total: int, summed: bool) -> Tensor:
        ctx.save_for_backward(rows)
        # torch's types know nothing of what a context is given to keep
        ctx.summed = summed  # type: ignore[attr-defined]
        return all_gather_rows(part.detach(), rows, total)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (rows,) = ctx.saved_tensors  # type: ignore[attr-defined]
        if ctx.summed:  # type: ignore[attr-defined]
            gradient = gradient.contiguous().clone()
            dist.all_reduce(gradient)
        return gradient[rows], None, None, None


Network = TypeVar("Network", bound=nn.Module)


class SyncedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation by the statistics of all processes' samples; SyncBatchNorm's on processors without CUDA."""

    ranks: Ranks

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        values = x.float()
        count = values.new_full((1,), values.numel() / values.shape[1])
        mean = values.mean((0, 2, 3))
        spread = (values - mean[:, None, None]).square().sum((0, 2, 3))
        statistics = torch.cat([count, mean, spread])[None]
        row = torch.tensor([self.ranks.index], device=x.device)
        rows = AllGather.apply(statistics, row, self.ranks.count, True)
        counts, means, spreads = rows.split([1, len(mean), len(mean)], 1)
        total = counts.sum()
        mean = (counts * means).sum(0) / total
        variance = (spreads + counts * (means - mean).square()).sum(0) / total
        self._follow(mean.detach(), variance.detach() * (total / (total - 1)))
        scale = self.weight * (variance + self.eps).rsqrt()
        return ((values - mean[:, None, None]) * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        running_mean, running_var = self.get_buffer("running_mean"), self.get_buffer("running_var")
        self.get_buffer("num_batches_tracked").add_(1)
        running_mean.lerp_(mean, self.momentum or 0.0)
        running_var.lerp_(variance, self.momentum or 0.0)


def with_synced_statistics(network: Network, ranks: Ranks, device: torch.device) -> Network:
    """The network with every batch normalisation by the whole batch; its state has the same keys."""
    if ranks.count == 1:
        return network
    if device.type == "cuda":
        return cast(Network, nn.SyncBatchNorm.convert_sync_batchnorm(network))
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SyncedBatchNorm
            cast(SyncedBatchNorm, module).ranks = ranks
    return network


def sum_gradients(parts: Iterable[nn.Parameter], alike: Sequence[nn.Parameter], ranks: Ranks) -> None:
    """Adds up the processes' gradients of `parts`; those of what all compute alike are averaged, against drift."""
    if ranks.count == 1:
        return
    repeated = {id(parameter) for parameter in alike}
    given = [p for p in [*parts, *alike] if p.grad is not None]
    flat = torch.cat(
        [(p.grad / ranks.count if id(p) in repeated else p.grad).float().flatten() for p in given if p.grad is not None]
    )
    dist.all_reduce(flat)
    for parameter, piece in zip(given, flat.split([p.numel() for p in given]), strict=True):
        parameter.grad = piece.view_as(parameter).to(parameter.dtype)
