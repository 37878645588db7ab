"""Stages of a network that `freeze: stages` counts, by the names of their weights."""

from __future__ import annotations

from synthood.common.lazy import nn

MOST = 0.9
"""Share of a network's weights in one module, from which that module is the network."""


def all_frozen(module: nn.Module) -> list[nn.Module]:
    """The topmost parts that have weights, all of them frozen."""
    weights = list(module.parameters())
    if weights and not any(weight.requires_grad for weight in weights):
        return [module]
    return [part for child in module.children() for part in all_frozen(child)]


def stages_of_children(module: nn.Module, prefix: str) -> list[list[str]]:
    """Stages by the modules below one; `features`, or a child with most of the weights, gives its own children.

    What follows such a child goes with its last stage, weights of a module's own with the first.
    """
    children = [(name, child) for name, child in module.named_children() if any(True for _ in child.parameters())]
    sizes = {name: sum(weight.numel() for weight in child.parameters()) for name, child in children}
    large = [name for name, size in sizes.items() if size > MOST * sum(sizes.values())]
    whole = "features" if "features" in sizes else next(iter(large), None)
    found: list[list[str]] = []
    opened = False
    for name, child in children:
        place = f"{prefix}{name}."
        if name == whole:
            found += stages_of_children(child, place)
            opened = True
        elif opened:
            found[-1] += [f"{place}{key}" for key, _ in child.named_parameters()]
        else:
            found.append([f"{place}{key}" for key, _ in child.named_parameters()])
    own = [f"{prefix}{name}" for name, _ in module.named_parameters(recurse=False)]
    return [own + found[0], *found[1:]] if found else [own]


def with_norms(stages: list[list[str]], network: nn.Module) -> list[list[str]]:
    """The same where stages of norms alone, whose weights are no matrices, go with the one before."""
    weights = dict(network.named_parameters())
    found: list[list[str]] = []
    for names in stages:
        if found and all(weights[name].ndim < 2 for name in names):
            found[-1] = found[-1] + names
        else:
            found.append(names)
    return found
