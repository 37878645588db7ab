"""Scores of samples: one by one, by a bank in one pass for all, and by a function of the user."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from synthood.common.lazy import Tensor, np, torch
from synthood.common.timing import Seconds, timed
from synthood.common.user_code import call
from synthood.errors import SynthoodError
from synthood.evaluation.features import Bank, Features, Reference, parts
from synthood.evaluation.unchanged import Unchanged

CHUNK = 1 << 24
"""Similarities that are held at once."""
PIECE, LOGITS, LEAST = 1 << 20, 1 << 18, 256
"""Numbers of a piece of samples, those where logits alone are looked at, and how many samples it has at least."""
STREAMED = 4
"""How many times as many where the bank's pieces are made anew in each pass, so that passes are fewer."""


class Score:
    """A fitted detector: features of N samples to confidence float32 [N], larger for ID.

    Calling it can be traced, for any N, where its function can.
    """

    origin: tuple[Any, dict[str, Any]] | None = None
    """The detector and its state, where these are all that the score depends on."""

    def __init__(self, function: Callable[[Features], Tensor], rows: int | None = None) -> None:
        """`rows` are the most samples that the function takes at once, as far as memory goes."""
        self.function, self.rows = function, rows

    def __call__(self, x: Features) -> Tensor:
        if torch.compiler.is_compiling() or self.rows is None or len(x) <= self.rows:
            return self.function(x)
        return torch.cat([self.function(part) for part in parts(x, self.rows)])

    def score(self, x: Features) -> Tensor:
        """Confidence float32 [N] of samples, in pieces where they are many."""
        return together({"": self}, x)[""]


@dataclass(eq=False)
class BankScore(Score):
    """A score by the cosines of samples to a bank, gathered from piece to piece of it.

    `gather` takes what was found before (None at first), cosines less one [n,m], the n samples, and the piece's place
    in the bank, and gives tensors of their own: the cosines' memory is that of the next piece's, too. `confidence`
    makes scores [n] of what was found at the end.
    """

    bank: Bank
    gather: Callable[[Tensor | None, Tensor, Features, slice], Tensor]
    confidence: Callable[[Tensor, Features], Tensor]

    def __call__(self, x: Features) -> Tensor:
        if torch.compiler.is_compiling():  # as a graph, in which nothing loops over samples
            return one_pass(self.bank, {"": self}, x)[""]
        return together({"": self}, x)[""]


def together(scores: Mapping[str, Score], x: Features, seconds: Seconds | None = None) -> dict[str, Tensor]:
    """Every score of the samples [N]; scores that have a bank in common share one pass over it.

    A score's bits do not depend on which others are asked for. The time of each is added to `seconds`, that of a shared
    pass to all that share it.
    """
    found: dict[str, list[Tensor]] = {name: [] for name in scores}
    banks: dict[int, dict[str, BankScore]] = {}
    for name, score in scores.items():
        if isinstance(score, BankScore):
            banks.setdefault(id(score.bank), {})[name] = score
    own = {name: score for name, score in scores.items() if isinstance(score, UserScore)}
    unchanged = Unchanged(x.tensors("x") if own else {})
    for name, custom in own.items():
        with timed(seconds, name):
            found[name].append(custom.checked(x, unchanged))
    pieced: dict[int, dict[str, Score]] = {}
    for name, score in scores.items():
        if not isinstance(score, BankScore | UserScore):
            pieced.setdefault(rows_at_once(score, x), {})[name] = score
    for at_once, those in pieced.items():
        for rows in parts(x, at_once):
            for name, score in those.items():
                with timed(seconds, name):
                    found[name].append(score(rows))
    for members in banks.values():
        bank = next(iter(members.values())).bank
        at_once = CHUNK if bank.in_memory is not None else STREAMED * CHUNK
        columns = min(len(bank), bank.rows)
        at_once = min(len(x), max(1, at_once // columns))
        # Made once: new memory for each piece costs a fourth of its product
        memory = x.features.new_empty(at_once * columns)
        for rows in parts(x, at_once):
            with timed(seconds, *members):
                for name, values in one_pass(bank, members, rows, memory).items():
                    found[name].append(values)
    return {name: torch.cat(values) for name, values in found.items()}


def rows_at_once(score: Score, x: Features) -> int:
    """Samples of which what the score looks at, and as much again that it makes of it, stay in a core's cache."""
    inputs = score.origin[0].inputs if score.origin else ("logits", "features")
    if not {"features", "outputs"} & {*inputs}:
        return max(LEAST // 4, min(PIECE, LOGITS) // x.logits.shape[1])
    return max(LEAST, PIECE // (x.logits.shape[1] + x.features.shape[1] * ("features" in inputs)))


def one_pass(
    bank: Bank, members: Mapping[str, BankScore], rows: Features, memory: Tensor | None = None
) -> dict[str, Tensor]:
    """Scores [n] of some samples by every member; the cosines to each piece of the bank take `memory` [>= n m]."""
    queries = bank.queries(rows.features)
    gathered: dict[str, Tensor] = {}
    for place, piece in bank.pieces():
        into = None if memory is None else memory[: len(rows) * len(piece)].view(len(rows), len(piece))
        less_one = torch.mm(queries, piece.T, out=into)
        for name, member in members.items():
            gathered[name] = member.gather(gathered.get(name), less_one, rows, place)
    return {name: member.confidence(gathered[name], rows) for name, member in members.items()}


@dataclass(frozen=True)
class UserScore(Score):
    """What the user's function gave, and the reference that all detectors share."""

    where: str
    function: Callable[[Features], Any]
    reference: Reference

    def __call__(self, x: Features) -> Tensor:
        return self.checked(x, Unchanged(x.tensors("x")))

    def checked(self, x: Features, unchanged: Unchanged) -> Tensor:
        """Confidence [N]; raises where the function gives something else, or changes the samples."""
        found = [checked_score(self.where, call(self.where, self.function, rows), rows) for rows in parts(x)]
        unchanged.check(self.where)
        return torch.cat(found)


def check_references(scores: Iterable[Score]) -> None:
    """Raises where what the scores were fitted on has changed since: custom ones may have held on to it."""
    custom = [score for score in scores if isinstance(score, UserScore)]
    where = " or ".join(dict.fromkeys(score.where for score in custom))
    for reference in {id(score.reference): score.reference for score in custom}.values():
        reference.unchanged.check(where)


def checked_score(where: str, confidence: Any, x: Features) -> Tensor:
    """Float32 [N] of its own memory; raises where the user's function gave something else."""
    values = torch.from_numpy(confidence) if is_numbers(confidence) else confidence
    if not isinstance(values, torch.Tensor) or values.shape != (len(x),):
        shape = list(confidence.shape) if hasattr(confidence, "shape") else type(confidence).__name__
        raise SynthoodError(f"{where}: must give a confidence per sample, a tensor [{len(x)}], got {shape}")
    if values.is_complex():
        raise SynthoodError(f"{where}: must give real numbers, got {values.dtype}")
    # A copy, since the function may write its next batch to the same memory
    found = values.detach().to(x.logits.device, torch.float32, copy=True)
    if wrong := int((~found.isfinite()).sum()):
        raise SynthoodError(f"{where}: gives {wrong} of {len(x)} samples a confidence that is not finite in float32")
    return found


def is_numbers(values: Any) -> bool:
    """Whether values are an array that torch can read."""
    return isinstance(values, np.ndarray) and values.dtype.kind in "fiub" and values.dtype.isnative
