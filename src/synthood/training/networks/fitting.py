"""Which of a file's weights are a network's: found by names and shapes, refused where that is not one answer."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import torch
from torch import Tensor

from synthood.common.states import State, is_average, listed
from synthood.errors import SynthoodError, printable
from synthood.training.networks.architectures.base import Translation

WRAPPERS = re.compile(r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
"""What torch.compile and its like put into keys at any place."""
MEASURES = r"\w*(acc|accuracy|auc|auroc|confusion|f1|loss|losses|metrics?|precision|recall)\w*"
TRAINING_ONLY = re.compile(
    rf"(criterion|criteria|losses|\w*loss|loss_\w+|metrics?|(train|val|valid|test)_{MEASURES})\..+"
)
"""Losses and metrics of Lightning modules."""
COUNTER = "num_batches_tracked"
HEAD = ("head.weight", "head.bias")
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class SeveralError(SynthoodError):
    """More than one set of weights fits."""


@dataclass(frozen=True)
class Choice:
    """What a configuration says of the weights in a file; `hint` is what else to do where they are not clear."""

    weights: str | None = None
    prefix: str | None = None
    ignore: tuple[str, ...] = ()
    rename: Mapping[str, str] = field(default_factory=dict)
    hint: str = "save the weights you mean alone"


@dataclass(frozen=True)
class Key:
    """Where a tensor is in a file: the mapping that holds it, and its key there."""

    place: str
    inner: str

    def __str__(self) -> str:
        return f"{self.place}.{self.inner}" if self.place and self.inner else self.place or self.inner


Flat = dict[Key, Tensor]


@dataclass
class Fit:
    """The tensors of a file under one prefix by a network's keys, as far as they are there."""

    place: str
    prefix: str
    found: dict[str, Key]
    missing: list[str]
    misshapen: list[str]
    unknown: list[Key]

    @property
    def path(self) -> str:
        return str(Key(self.place, self.prefix)).rstrip(".")

    @property
    def wrong(self) -> int:
        return len(self.missing) + len(self.misshapen) + len(self.unknown)


def fitted(
    states: dict[str, State],
    expected: Mapping[str, Tensor],
    translated: list[Translation],
    choice: Choice,
    where: str,
    new_head: bool = False,
) -> tuple[State, list[str]]:
    """A network's state, counters of batches apart, and what was chosen and left out for it, in sentences.

    With `new_head` a last Linear of other classes, or none, is left out. Raises SynthoodError where no weights fit, or
    several that differ.
    """
    flat, notes = flattened(states, choice, where)
    wanted = {key: value.shape for key, value in expected.items() if not key.endswith(COUNTER)}
    fits = all_fits(flat, wanted, translated, choice, new_head)
    if not fits:
        raise SynthoodError(f"{where}: no weights below prefix {printable(choice.prefix)}; {choice.hint}")
    chosen = the_one(fits, flat, choice, where, notes)
    check_fit(chosen, flat, wanted, choice, where)
    state = {ours: flat[key] for ours, key in chosen.found.items()}
    check_values(state, expected, chosen, where)
    return state, [*notes, *told(chosen, flat)]


def flattened(states: dict[str, State], choice: Choice, where: str) -> tuple[Flat, list[str]]:
    """All tensors but counters, without what `ignore` names, renamed, without what wrappers put in between."""
    flat: Flat = {}
    ignored: list[str] = []
    unused = {*choice.ignore, *choice.rename}
    named = places_named(states, choice.weights, where)
    for place, key, value in ((at, key, value) for at in named for key, value in states[at].items()):
        full = str(Key(place, key))
        patterns = [pattern for pattern in choice.ignore if fnmatchcase(key, pattern) or fnmatchcase(full, pattern)]
        unused -= set(patterns)
        if patterns:
            ignored.append(full)
            continue
        for old, new in choice.rename.items():
            begin = old.rstrip(".")
            if key == begin or key.startswith(f"{begin}."):
                unused.discard(old)
                key = (new.rstrip(".") + key[len(begin) :]).lstrip(".")
                break
        clean = Key(place, WRAPPERS.sub("", key))
        if clean in flat and not torch.equal(flat[clean], value):
            raise SynthoodError(f"{where}: two different tensors {printable(clean)}; {choice.hint}")
        if not key.endswith(COUNTER):
            flat[clean] = value
    if unused:
        raise SynthoodError(f"{where}: no key that `ignore` or `rename` names as {printable(min(unused))!r}")
    return flat, [f"ignored as asked: {listed(ignored)}"] if ignored else []


def places_named(states: dict[str, State], weights: str | None, where: str) -> list[str]:
    """The state dicts that `weights` names, all of them where it names a kind of weights or is not given."""
    named = [place for place in states if weights and f"{place}.".startswith(f"{weights}.")]
    if named or weights in (None, "ema", "raw"):
        return named or list(states)
    raise SynthoodError(f"{where}: no entry `weights` {printable(weights)!r} (there are {listed(list(states))})")


def all_fits(
    flat: Flat, wanted: Mapping[str, torch.Size], translated: list[Translation], choice: Choice, new_head: bool
) -> list[Fit]:
    """What is there of a network, below every prefix that has half as many tensors."""
    counts: Counter[tuple[str, str]] = Counter()
    for key in flat:
        parts = key.inner.split(".")
        counts.update((key.place, "".join(f"{part}." for part in parts[:end])) for end in range(len(parts)))
    if choice.prefix is not None:
        begin = choice.prefix.rstrip(".")
        places = [at for at in counts if begin in (at[1].rstrip("."), str(Key(*at)).rstrip("."))]
    else:
        places = [at for at, count in counts.items() if not at[1] or 2 * count > len(wanted)]
    fits = []
    for place, prefix in places:
        below = {key: key.inner[len(prefix) :] for key in flat if key.place == place and key.inner.startswith(prefix)}
        each = [fit(flat, place, prefix, below, wanted, translate, new_head) for translate in translated]
        fits.append(min(each, key=lambda one: one.wrong))
    return fits


def fit(
    flat: Flat,
    place: str,
    prefix: str,
    below: dict[Key, str],
    wanted: Mapping[str, torch.Size],
    translate: Translation,
    new_head: bool,
) -> Fit:
    """The tensors below one prefix, with the last Linear from inside or outside of it."""
    found: dict[str, Key] = {}
    unknown = []
    for key, inner in below.items():
        ours = translate(inner)
        if ours in wanted and ours not in found:
            found[ours] = key
        elif not TRAINING_ONLY.fullmatch(inner) and not (new_head and ours.startswith("head.")):
            unknown.append(key)
    made = Fit(place, prefix, found, [], [], unknown)
    if any(key not in found or flat[found[key]].shape != wanted[key] for key in HEAD):
        others = heads(flat, made, wanted)
        if len(others) == 1 or new_head:
            inside = [found.pop(key) for key in HEAD if key in found]
            found |= dict(zip(HEAD, others[0], strict=True)) if len(others) == 1 else {}
            unknown += [] if new_head else inside
            made.unknown = [key for key in unknown if key not in found.values()]
    made.missing = [key for key in wanted if key not in found and not (new_head and key in HEAD)]
    made.misshapen = [key for key in found if flat[found[key]].shape != wanted[key]]
    return made


def heads(flat: Flat, fit: Fit, wanted: Mapping[str, torch.Size]) -> list[tuple[Key, Key]]:
    """Weight and bias of other Linears like the last one, which are all that is at their place."""
    used, pairs = set(fit.found.values()), []
    for weight, value in flat.items():
        stem, _, last = weight.inner.rpartition(".")
        bias = Key(weight.place, f"{stem}.bias" if stem else "bias")
        if last != "weight" or value.shape != wanted[HEAD[0]] or weight in used or bias not in flat:
            continue
        group = branch(weight, fit.path) + "."
        if flat[bias].shape == wanted[HEAD[1]] and sum(str(key).startswith(group) for key in flat) == len(HEAD):
            pairs.append((weight, bias))
    return pairs


def averaged(fit: Fit, flat: Flat) -> bool:
    """Whether the weights are an exponential moving average: by their name, or by torch's counter of averaged steps."""
    if is_average(fit.path):
        return True
    before, found, _ = f".{fit.prefix}".rpartition(".module.")
    counter = flat.get(Key(fit.place, f"{before}.n_averaged".lstrip(".")))
    return bool(found) and counter is not None and int(counter) > 0 and "swa" not in fit.path.lower()


def the_one(fits: list[Fit], flat: Flat, choice: Choice, where: str, notes: list[str]) -> Fit:
    """The weights that are meant: averaged ones before raw ones, as timm has it; else those that alone fit best."""
    if choice.weights in ("ema", "raw") and not any(one.place.split(".")[0] == choice.weights for one in fits):
        fits = [one for one in fits if averaged(one, flat) == (choice.weights == "ema")]
        if not fits:
            raise SynthoodError(f"{where}: no {choice.weights} weights in it; take `weights` away")
    good = distinct([one for one in fits if not one.wrong], flat)
    means = [one for one in good if averaged(one, flat)]
    if not good:
        return min(fits, key=lambda one: (len(one.misshapen) - len(one.found), one.wrong))
    if len(means) == 1 and len(good) > 1:
        raw = listed([one.path for one in good if one is not means[0]])
        taken = f"the averaged weights (EMA), {printable(means[0].path)}, are taken, not those of {raw}"
        notes.append(taken if choice.weights else f"{taken} (`weights: raw` takes these)")
        return means[0]
    if len(good) > 1:
        names = listed([one.path for one in good])
        raise SeveralError(f"{where}: several weights fit the network ({names}); {choice.hint}")
    least = len(good[0].found) / 2
    large = [one for one in fits if one.path and len(one.found) + len(one.unknown) > least]
    unfit = [one.path for one in large if averaged(one, flat) and one.wrong]
    if choice.weights is None and choice.prefix is None and not means and unfit:
        raise SynthoodError(f"{where}: averaged weights ({printable(unfit[0])}) do not fit the network; {choice.hint}")
    return good[0]


def distinct(fits: list[Fit], flat: Flat) -> list[Fit]:
    """The same without those whose tensors are equal to others', such as a network's that is held twice."""

    def same(one: Fit, other: Fit) -> bool:
        if one.found.keys() != other.found.keys():
            return False
        pairs = ((key, other.found[ours]) for ours, key in one.found.items())
        return all(first == second or torch.equal(flat[first], flat[second]) for first, second in pairs)

    return [one for index, one in enumerate(fits) if not any(same(one, other) for other in fits[:index])]


def check_fit(fit: Fit, flat: Flat, wanted: Mapping[str, torch.Size], choice: Choice, where: str) -> None:
    """Raises SynthoodError where weights are missing, unknown, of another shape, or could be another last layer's."""
    rivals = [printable(weight) for weight, _ in heads(flat, fit, wanted)]
    if rivals and (HEAD[0] in fit.missing or HEAD[0] in fit.found):
        own = [printable(fit.found[HEAD[0]])] if HEAD[0] in fit.found else []
        raise SynthoodError(f"{where}: which is the last layer, {' or '.join(own + rivals)}? {choice.hint}")
    if fit.missing or fit.unknown:
        both = ("missing", fit.missing), ("unknown", [str(key) for key in fit.unknown])
        wrong = "; ".join(f"{what} {listed(sorted(keys))}" for what, keys in both if keys)
        raise SynthoodError(f"{where}: weights that do not fit `network`: {wrong} (see `synthood checkpoint show`)")
    for ours in fit.misshapen:
        key = fit.found[ours]
        shapes = f"{list(flat[key].shape)}, the network's {list(wanted[ours])}"
        raise SynthoodError(
            f"{where}: {printable(key)} has shape {shapes}; fix network.name, its width or image_size, or the classes"
        )


def check_values(state: State, expected: Mapping[str, Tensor], fit: Fit, where: str) -> None:
    """Raises SynthoodError where values are not finite, or not of a type that a network computes with."""
    for ours, value in state.items():
        floats = expected[ours].is_floating_point()
        if (value.dtype not in FLOATS) if floats else (value.is_floating_point() or value.is_complex()):
            kind = str(value.dtype).removeprefix("torch.")
            raise SynthoodError(
                f"{where}: {printable(fit.found[ours])} is of {kind}, perhaps quantised; save the float weights"
            )
        if floats and not value.isfinite().all():
            raise SynthoodError(f"{where}: {printable(fit.found[ours])} is not finite; the checkpoint is broken")


def told(fit: Fit, flat: Flat) -> list[str]:
    """What was taken, and what was not."""
    notes = [f"weights below {printable(fit.path)}"] if fit.path else []
    if HEAD[0] not in fit.found:
        notes.append("the last Linear is drawn anew")
    elif fit.path and not str(fit.found[HEAD[0]]).startswith(f"{fit.path}."):
        notes.append(f"last Linear: {printable(fit.found[HEAD[0]])}")
    used = set(fit.found.values())
    others = Counter(branch(key, fit.path) for key in flat if key not in used)
    if others:
        notes.append("left out: " + listed([f"{name} ({count})" for name, count in others.items()], 8))
    kinds = {str(flat[key].dtype).removeprefix("torch.") for key in used if flat[key].is_floating_point()}
    return notes + [f"{kind} weights, as float32" for kind in sorted(kinds - {"float32"})]


def branch(key: Key, path: str) -> str:
    """A key up to the first part that it does not share with a path."""
    parts, own = str(key).split("."), path.split(".") if path else []
    shared = 0
    while shared < min(len(own), len(parts) - 1) and parts[shared] == own[shared]:
        shared += 1
    return ".".join(parts[: shared + 1])
