"""Signals that stop a stage: Ctrl-C, SIGTERM, and SIGHUP of a terminal that closes."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
Handler = Callable[[int, FrameType | None], object]


class Stopped(SystemExit):
    """The process ends as a shell expects it of a signal, with 128 and its number; `logged` where the log has why."""

    def __init__(self, number: int, logged: bool = False) -> None:
        super().__init__(128 + number)
        self.number, self.logged = number, logged


def name_of(number: int) -> str:
    """Such as SIGTERM."""
    return signal.Signals(number).name


@contextmanager
def handling(handler: Handler) -> Iterator[None]:
    """Within the block the handler gets these signals, but for those that are ignored, such as SIGHUP under nohup."""
    found = {one: signal.getsignal(one) for one in STOPS}
    before = {one: known for one, known in found.items() if known is not None and known is not signal.SIG_IGN}
    for one in before:
        signal.signal(one, handler)
    try:
        yield
    finally:
        for one, known in before.items():
            signal.signal(one, known)


def stop(number: int, _: FrameType | None) -> NoReturn:
    """A handler that raises, once: what has been begun is then removed in peace."""
    for one in STOPS:
        signal.signal(one, signal.SIG_IGN)
    raise Stopped(number)
