"""Optimizers, a rollback from a loss that is not finite, and the weights of the best epoch."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from synthood.common.iterate import Stateful
from synthood.training.networks.architectures.base import ImageNetwork


class Rollback:
    """The state at the start of an epoch, and whether it had to be restored: once, and at half the rate from then on.

    Saved with a resume state, so that a resumed run rolls back to the same place as an undisturbed one.
    """

    def __init__(self, parts: Mapping[str, Stateful]) -> None:
        self.parts = dict(parts)
        self.saved: dict[str, Any] = {}
        self.used = False

    @property
    def factor(self) -> float:
        """Of the learning rate."""
        return 0.5 if self.used else 1.0

    def snapshot(self) -> None:
        """Saves the parts as they are."""
        self.saved = {key: copy.deepcopy(part.state_dict()) for key, part in self.parts.items()}

    def restore(self) -> None:
        """Restores the parts; from then on at half the rate."""
        for key, part in self.parts.items():
            part.load_state_dict(copy.deepcopy(self.saved[key]))
        self.used = True

    def state_dict(self) -> dict[str, Any]:
        return {"saved": self.saved, "used": self.used}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.saved, self.used = state["saved"], state["used"]


class Best:
    """What modules were at the end of the epoch with the best validation accuracy, the latest of equals.

    Saved with a resume state, so that a resumed run keeps the same epoch as an undisturbed one.
    """

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        self.modules = dict(modules)
        self.saved: dict[str, Any] = {}
        self.accuracy, self.epoch = -1.0, -1

    def offer(self, epoch: int, accuracy: float) -> None:
        """Takes the modules as they are, unless an epoch was better."""
        if accuracy >= self.accuracy:
            self.accuracy, self.epoch = accuracy, epoch
            self.saved = {name: copy.deepcopy(module.state_dict()) for name, module in self.modules.items()}

    def restore(self) -> None:
        """Gives the modules what they were then."""
        for name, state in self.saved.items():
            self.modules[name].load_state_dict(state)

    def state_dict(self) -> dict[str, Any]:
        return {"saved": self.saved, "accuracy": self.accuracy, "epoch": self.epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.saved, self.accuracy, self.epoch = state["saved"], state["accuracy"], state["epoch"]


def optimizer_of(
    network: ImageNetwork,
    kind: str,
    rate: float,
    momentum: float,
    weight_decay: float,
    last_layer: float | None = None,
    nesterov: bool = True,
    beside: Mapping[float, list[nn.Parameter]] | None = None,
) -> torch.optim.Optimizer:
    """SGD with momentum, or AdamW with `momentum` as its first beta, of the weights that are not frozen.

    A rate of the last layer's own, and those of parameters `beside` the network, are a `factor` of the others' in a
    group, for whoever sets rates.
    """
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    parameters: Any = trained
    if last_layer is not None:
        last = {id(parameter) for parameter in network.head.parameters()}
        others = [parameter for parameter in trained if id(parameter) not in last]
        parameters = [{"params": others}, {"params": list(network.head.parameters()), "factor": last_layer / rate}]
    if beside:
        groups = parameters if last_layer is not None else [{"params": trained}]
        parameters = [*groups, *({"params": own, "factor": theirs / rate} for theirs, own in beside.items())]
    fused = network.head.weight.is_cuda or None  # one kernel for all weights
    if kind == "adamw":
        return torch.optim.AdamW(parameters, rate, (momentum, 0.999), weight_decay=weight_decay, fused=fused)
    return torch.optim.SGD(
        parameters,
        rate,
        momentum=momentum,
        nesterov=nesterov and momentum > 0,
        weight_decay=weight_decay,
        fused=fused,
    )


def beside_the_network(terms: nn.ModuleDict, rate: float) -> dict[float, list[nn.Parameter]]:
    """The terms' parameters by their learning rate: a term's own, or `rate`."""
    found: dict[float, list[nn.Parameter]] = {}
    for term in terms.values():
        if parameters := list(term.parameters()):
            found.setdefault(getattr(term, "learning_rate", None) or rate, []).extend(parameters)
    return found


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The rate of the next step, in each group times its factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("factor", 1.0)
