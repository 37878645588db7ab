"""A trained network as detectors of the model see it, and one batch with all that they ask of it, computed once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from synthood.common.lazy import Tensor, nn, torch
from synthood.errors import SynthoodError
from synthood.training.networks.architectures.base import ImageNetwork

if TYPE_CHECKING:
    from synthood.training.networks.model import Classifier


@dataclass(frozen=True)
class ForwardRun:
    """One forward pass: inputs [N,3,H,W], features [N,D] and logits [N,C]; maps [N,c,h,w] of the blocks in order, and
    what the convolutions gave."""

    inputs: Tensor
    features: Tensor
    logits: Tensor
    maps: list[Tensor]
    convolved: list[Tensor]


class Probe:
    """A network on its device, in evaluation mode and without gradients in its weights.

    `deviation` [channels] is what pixels in [0,1] are divided by; `blocks` are the modules whose outputs are the maps,
    where the network does not say.
    """

    def __init__(
        self,
        network: ImageNetwork,
        classes: int,
        deviation: Tensor | None,
        device: torch.device,
        blocks: Sequence[nn.Module] | None = None,
    ) -> None:
        self.network: nn.Module = network.to(device).eval().requires_grad_(False)
        self.head: nn.Linear = network.head
        self.features = network.features
        self.classes, self.device = classes, device
        self._deviation, self._blocks = deviation, blocks

    @classmethod
    def of(cls, classifier: Classifier, device: torch.device) -> Probe:
        """Of a trained classifier."""
        deviation = torch.tensor(classifier.deviation, device=device)
        return cls(classifier.network, len(classifier.classes), deviation, device)

    @property
    def deviation(self) -> Tensor:
        """Of the pixels, [1,channels,1,1]; raises where it is not known."""
        if self._deviation is None:
            raise SynthoodError(
                "steps are in units of pixels; pass std, by which the inputs were divided (1: not at all)"
            )
        return self._deviation.view(1, -1, 1, 1)

    @cached_property
    def blocks(self) -> list[nn.Module]:
        """The modules whose outputs are the maps, in their order; raises where the network has none."""
        if self._blocks is not None:
            return list(self._blocks)
        stages, inner = getattr(self.network, "stages", None), getattr(self.network, "model", None)
        if isinstance(stages, nn.Sequential):
            return [self.network.get_submodule("stem"), *stages]
        names = [info.get("module") for info in getattr(inner, "feature_info", None) or []]
        if not names or not isinstance(inner, nn.Module):
            raise SynthoodError(
                "this network has no convolutional maps, which gram, rankfeat and mds-ensemble look at; "
                "leave them out of its tables, or from Python pass maps, the names of its blocks"
            )
        return [inner.get_submodule(name) for name in names]

    def run(self, inputs: Tensor, mapped: bool = False) -> ForwardRun:
        """A forward pass; `mapped` keeps maps. Gradients flow where the inputs ask for them."""
        maps: dict[int, Tensor] = {}
        convolved: list[Tensor] = []

        def keep(index: int) -> Callable[..., None]:
            def hook(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
                maps[index] = output

            return hook

        hooks = []
        if mapped:
            hooks = [block.register_forward_hook(keep(index)) for index, block in enumerate(self.blocks)]
            convolutions = (module for module in self.network.modules() if isinstance(module, nn.Conv2d))
            hooks += [c.register_forward_hook(lambda m, i, output: convolved.append(output)) for c in convolutions]
        try:
            features = self.features(inputs)
        finally:
            for each in hooks:
                each.remove()
        if mapped and any(each.ndim != 4 for each in maps.values()):
            raise SynthoodError(
                "this network's blocks give no maps [channels, height, width], which gram, rankfeat and mds-ensemble "
                "look at; leave them out of its tables"
            )
        return ForwardRun(inputs, features, self.head(features), [maps[i] for i in sorted(maps)], convolved)

    def stages(self, maps: list[Tensor]) -> list[int]:
        """Indices of the last map of each size, in order."""
        sizes = [each.shape[2:] for each in maps]
        return [i for i, size in enumerate(sizes) if i + 1 == len(sizes) or sizes[i + 1] != size]

    def with_map(self, inputs: Tensor, index: int, changed: Tensor) -> Tensor:
        """Logits [N,C] of the inputs where the map of block `index` is another."""
        with torch.no_grad():
            if self._blocks is None and isinstance(getattr(self.network, "stages", None), nn.Sequential):
                logits: Tensor = self.head(nn.Sequential(*self.blocks[index + 1 :])(changed).mean((2, 3)))
                return logits
            hook = self.blocks[index].register_forward_hook(lambda module, given, output: changed)
            try:
                return self.run(inputs).logits
            finally:
                hook.remove()


class BatchView:
    """One batch: each pass and each gradient is computed when first asked for, and once for all detectors."""

    def __init__(self, probe: Probe, inputs: Tensor) -> None:
        self.probe, self.inputs = probe, inputs
        self._gradients: dict[tuple[object, ...], Tensor] = {}

    @cached_property
    def mapped(self) -> ForwardRun:
        """A pass that keeps maps."""
        with torch.no_grad():
            return self.probe.run(self.inputs, mapped=True)

    @cached_property
    def plain(self) -> ForwardRun:
        """A pass that need not keep maps."""
        if "mapped" in vars(self):
            return self.mapped
        with torch.no_grad():
            return self.probe.run(self.inputs)

    @cached_property
    def attached(self) -> ForwardRun:
        """A pass whose graph is kept for gradients in its inputs."""
        with torch.enable_grad():
            return self.probe.run(self.inputs.detach().clone().requires_grad_())

    @cached_property
    def attached_maps(self) -> ForwardRun:
        """The same with maps."""
        with torch.enable_grad():
            return self.probe.run(self.inputs.detach().clone().requires_grad_(), mapped=True)

    def gradient(self, run: ForwardRun, name: tuple[object, ...], objective: Callable[[ForwardRun], Tensor]) -> Tensor:
        """Gradient [N,3,H,W] of an objective [N] of a pass in its inputs; `name` says which, for who asks again."""
        if name not in self._gradients:
            with torch.enable_grad():
                total = objective(run).sum()
            (self._gradients[name],) = torch.autograd.grad(total, run.inputs, retain_graph=True)
        return self._gradients[name]
