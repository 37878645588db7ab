"""The exception whose message is meant for the user, and the word that was probably meant."""

import difflib
from collections.abc import Iterable


class SynthoodError(Exception):
    """A mistake the user can mend: one sentence that says what was wrong, where, and what to do."""


def nearest(word: str, known: Iterable[str]) -> str:
    """'; did you mean ...?' or the list of what is known."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    listed = f" (known: {', '.join(names) or 'none'})"
    return f"; did you mean {close[0]!r}?{listed}" if close else listed
