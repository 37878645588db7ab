"""The exception whose message is meant for the user, and the word that was probably meant."""

import difflib
import re
from collections.abc import Iterable

UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Line breaks, control characters (terminal escapes among them), reversals of the reading direction."""

LISTED = 100
"""Names that a message lists at most."""


class SynthoodError(Exception):
    """A mistake the user can correct: one sentence that says what was wrong, where, and what to do."""


def nearest(word: str, known: Iterable[str]) -> str:
    """'; did you mean ...?' and, where it is not too long, the list of what is known."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    listed = f" (known: {', '.join(names) or 'none'})" if len(names) <= LISTED else ""
    return f"; did you mean {close[0]!r}?{listed}" if close else listed


def visible(text: str) -> str:
    """A text of one line and one reading direction: what breaks or reverses it, and what UTF-8 lacks, as escapes."""
    return UNSAFE.sub(lambda found: _escape(found[0]), text)


def printable(text: object, most: int = 1000) -> str:
    """A text for a message: what is not printable as escapes, cut after `most` characters."""
    start = str(text)[: most + 1]
    shown = "".join(c if c.isprintable() else _escape(c) for c in start)
    return shown if len(shown) <= most else f"{shown[:most]}..."


def _escape(letter: str) -> str:
    return letter.encode("unicode_escape", "backslashreplace").decode()


def first_line(error: BaseException) -> str:
    """The first line of another library's error, without its full stop."""
    return printable(str(error).strip().partition("\n")[0].rstrip(". "), 200)
