"""`synthood checkpoint show`: what is in a file of weights, and which network it is likely of."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from synthood.common.foreign import Blank, read_content
from synthood.common.identity import sha256
from synthood.common.states import State, is_average, states_of
from synthood.errors import SynthoodError, printable
from synthood.training.networks.architectures.base import NetworkSettings, build
from synthood.training.networks.architectures.dense import DenseNetwork
from synthood.training.networks.architectures.from_torchvision import TorchvisionNetwork, names
from synthood.training.networks.architectures.residual import BLOCKS, Network
from synthood.training.networks.fitting import WRAPPERS, Choice, SeveralError, fitted
from synthood.training.networks.settings import network_described

GROUPS = 24
FAMILIES = {
    "features.1.conv.0.0.weight": ("mobilenet_v2",),
    "features.1.block.0.0.weight": ("mobilenet_v3_",),
    "features.1.0.block.0.0.weight": ("efficientnet_",),
    "features.1.0.layer_scale": ("convnext_",),
    "features.1.0.attn.qkv.weight": ("swin_",),
    "features.0.weight": ("alexnet", "vgg"),
    "features.denseblock1.denselayer1.norm1.weight": ("densenet",),
    "layer1.0.conv3.weight": ("resnet101", "resnet152", "resnext", "wide_resnet"),
    "encoder.layers.encoder_layer_0.ln_1.weight": ("vit_",),
    "stage2.0.branch1.0.weight": ("shufflenet",),
    "layers.0.weight": ("mnasnet",),
}
"""A key that only these networks of torchvision have."""
HEADS = ("fc", "linear", "classifier", "head", "heads")


def shown(path: Path) -> str:
    """A file's entries, groups of keys, classes and the likely network, as lines of text."""
    content = read_content(path)
    states = states_of(content, printable(path))
    lines = [f"{printable(path)}: {path.stat().st_size:,} bytes, SHA-256 {sha256(path)}", "entries:"]
    lines += [
        f"  {printable(key)}: {kind_of(value)}" for key, value in content.items() if not isinstance(value, Tensor)
    ]
    lines += ["  (tensors at the top)"] if "" in states else []
    for place, state in states.items():
        lines += ["", *described(place, state)]
    if (found := likely(states)) is None:
        return "\n".join(
            [*lines, "", "likely network: none that synthood knows by its keys; `timm/NAME` if it is timm's"]
        )
    settings, classes, notes = found
    lines += ["", f"likely network, of {classes} classes ({'; '.join(notes) or 'all keys are its own'}):"]
    lines += ["  kind: checkpoint", f"  path: {printable(path)}", f"  network: {line_of(settings)}"]
    lines += ["  mean: # of its training, in [0,1]; ImageNet: [0.485, 0.456, 0.406]"]
    lines += ["  std: # likewise; ImageNet: [0.229, 0.224, 0.225]"]
    lines += (
        ["  # keys do not tell a network of 32 px from one of 64 px (`stem: 64`)"]
        if isinstance(settings, Network)
        else []
    )
    return "\n".join(lines)


def kind_of(value: Any) -> str:
    """What an entry is, in words."""
    if isinstance(value, Blank):
        return f"{type(value).__name__}, not read"
    if isinstance(value, dict):
        return f"{len(value)} entries"
    if isinstance(value, str | int | float):
        return printable(value)
    return type(value).__name__


def described(place: str, state: State) -> list[str]:
    """One state dict: its size, first and last layer, and its keys by their first parts."""
    clean = {WRAPPERS.sub("", key): value for key, value in state.items()}
    weights = {key: value for key, value in clean.items() if value.is_floating_point() and value.ndim > 0}
    learned = {key: value for key, value in weights.items() if not key.endswith(("running_mean", "running_var"))}
    kinds = ", ".join(sorted({str(value.dtype).removeprefix("torch.") for value in weights.values()}))
    lines = [f"{printable(place) or 'tensors at the top'}: {len(state)} tensors ({kinds or 'no floats'}), "]
    lines[0] += f"{sum(value.numel() for value in learned.values()):,} parameters"
    if broken := [key for key, value in weights.items() if value.element_size() > 1 and not value.isfinite().all()]:
        lines.append(f"  not finite: {printable(broken[0])} ({len(broken)} tensors)")
    if is_average(place):
        lines.append("  an average of weights (EMA)")
    elif average := next((key for key in clean if is_average(key) or key.endswith("n_averaged")), None):
        lines.append(f"  holds an average of weights ({printable(average)})")
    convolutions = [(key, value) for key, value in weights.items() if value.ndim == 4]
    first = next((one for one in convolutions if one[1].shape[1] == 3), next(iter(convolutions), None))
    linears = [(key, value) for key, value in weights.items() if value.ndim == 2 and key.endswith("weight")]
    last = sorted(linears, key=lambda one: any(part in HEADS for part in one[0].split(".")))[-1:]
    lines += [f"  first layer: {printable(first[0])} {list(first[1].shape)}"] if first else []
    lines += [f"  last Linear: {printable(key)} {list(value.shape)}: {len(value)} classes" for key, value in last]
    groups = Counter(group(key, clean) for key in clean)
    lines += [f"  {printable(name)}: {count} tensors" for name, count in list(groups.items())[:GROUPS]]
    return lines + ([f"  and {len(groups) - GROUPS} groups more"] if len(groups) > GROUPS else [])


def group(key: str, state: State) -> str:
    """A key's first part, or more of them where most keys share the first."""
    parts, name = key.split("."), ""
    for part in parts:
        name += part
        if 2 * sum(other.startswith(f"{name}.") for other in state) <= len(state):
            break
        name += "."
    return name.rstrip(".")


def likely(
    states: dict[str, State], among: Iterable[NetworkSettings] | None = None
) -> tuple[NetworkSettings, int, list[str]] | None:
    """The first network whose layers are all there, its classes, and what would be chosen and left out for it.

    Of the networks `among` which it is; by default of ours and torchvision's.
    """
    flat = {WRAPPERS.sub("", key): value for state in states.values() for key, value in state.items()}
    rows = [len(value) for key, value in flat.items() if value.ndim == 2 and key.endswith("weight")]
    for settings in candidates(flat) if among is None else among:
        for classes in (None, *dict.fromkeys(reversed(rows))):
            # timm's networks compute something when they are built, so those that are named need values.
            with torch.device("meta" if among is None else "cpu"):
                network = build(settings, classes or 1, 0)
            given = states, network.state_dict(), settings.translations(network), Choice(hint=""), ""
            try:
                notes = fitted(*given, new_head=classes is None)[1]
            except SeveralError as error:
                notes = [str(error).strip(": ;")]
            except SynthoodError:
                if classes is None:
                    break
                continue
            if classes is not None:
                return settings, classes, notes
    return None


def candidates(state: State) -> Iterator[NetworkSettings]:
    """Settings with the first layer's width that could be of the weights: ours, then torchvision's."""
    first = next((value for value in state.values() if value.ndim == 4 and value.shape[1] == 3), None)
    if first is not None:
        width, side = int(first.shape[0]), 224 if first.shape[2] == 7 else 32
        padded = not any(".shortcut." in key or ".downsample." in key for key in state)
        for name in BLOCKS if width >= 8 else ():
            given: dict[str, Any] = {"name": name} | ({} if width == 16 else {"width": width})
            given |= {} if side == 32 else {"stem": side}
            basic = padded and name.startswith("resnet") and name != "resnet50"
            yield network_described(given | ({"shortcut": "padded"} if basic else {}))
        if width % 2 == 0 and width >= 8:
            yield DenseNetwork(name="densenet-bc-100", growth=width // 2)
    for end, starts in FAMILIES.items():
        if any(key == end or key.endswith(f".{end}") for key in state):
            yield from (TorchvisionNetwork(name=f"torchvision/{name}") for name in names() if name.startswith(starts))


def line_of(settings: NetworkSettings) -> str:
    """Settings as YAML in one line."""
    given = settings.model_dump(mode="json", exclude_defaults=True)
    return "{" + ", ".join(f"{key}: {value}" for key, value in given.items()) + "}"
