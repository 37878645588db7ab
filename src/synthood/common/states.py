"""State dicts in checkpoints of other code: all that a file holds, and the one that is meant."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.nn import Parameter

from synthood.common.foreign import SAVED, read_content
from synthood.errors import SynthoodError, printable

State = dict[str, Tensor]
CONTAINERS = ("state_dict", "model_state_dict", "model", "network", "net")
"""Where a checkpoint with more in it than weights usually has them."""
NOT_WEIGHTS = ("optim", "sched", "scaler", "rng")
"""In the names of entries that hold a training's state."""
DEEPEST = 4
Report = Callable[[str], object]


def read_states(path: Path, digest: str | None = None) -> dict[str, State]:
    """Every state dict of a file by its place there, such as `state_dict_ema`; "" is the file itself."""
    return states_of(read_content(path, digest), printable(path))


def read_state(path: Path, digest: str | None = None, report: Report = print) -> State:
    """The state dict of a file: the average of the weights (EMA) where it has one, as timm does."""
    states, where = read_states(path, digest), printable(path)
    most = max(map(len, states.values()))
    large = [place for place, state in states.items() if 2 * len(state) > most]
    averaged = [place for place in large if is_average(place)]
    usual = [place for name in CONTAINERS for place in large if place.rpartition(".")[2] == name]
    chosen = large if len(large) == 1 else averaged or usual[:1]
    if len(chosen) != 1:
        raise SynthoodError(f"{where}: several state dicts ({listed(large)}); save one of them alone")
    if others := [place for place in large if place != chosen[0]]:
        report(f"{where}: weights of {printable(chosen[0])}, not of {listed(others)}")
    return states[chosen[0]]


def states_of(content: Any, where: str) -> dict[str, State]:
    """Tensors by key, by the place of their mapping; what is neither a tensor nor a mapping is left out."""
    found: dict[str, State] = {}

    def walk(value: Mapping[Any, Any], place: str, depth: int) -> None:
        named = {key: one for key, one in value.items() if isinstance(key, str)}
        for key, one in named.items():
            if "_packed_params" in key or (isinstance(one, Tensor) and one.is_quantized):
                raise SynthoodError(f"{where}: {printable(key)} is quantised; save the float network's state_dict")
        if tensors := {key: one for key, one in named.items() if isinstance(one, Tensor)}:
            found[place] = tensors
        for key, one in named.items():
            if isinstance(one, Mapping) and depth < DEEPEST and not any(word in key.lower() for word in NOT_WEIGHTS):
                walk(one, f"{place}.{key}" if place else key, depth + 1)

    if isinstance(content, Mapping):
        walk(content, "", 0)
    if not found:
        raise SynthoodError(f"{where}: no state dict in it; {SAVED}")
    for state in found.values():
        check_tensors(state, where)
    return found


def check_tensors(state: State, where: str) -> None:
    """Raises SynthoodError where a tensor has no plain values."""
    for key, value in state.items():
        if value.is_meta:
            raise SynthoodError(f"{where}: {printable(key)} has a shape but no values; save the weights themselves")
        if type(value) not in (Tensor, Parameter) or value.is_sparse or value.is_sparse_csr:
            kind = "sparse" if type(value) is Tensor else type(value).__name__
            raise SynthoodError(f"{where}: {printable(key)} is no plain tensor ({kind}); save it as one")


def is_average(place: str) -> bool:
    """Whether a place's name says that its weights are an exponential moving average."""
    return "ema" in place.lower().replace(".", "_").split("_")


def listed(names: list[str], shown: int = 4) -> str:
    """The first few names, and how many more."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(printable(name) or "the file's own" for name in names[:shown]) + more
