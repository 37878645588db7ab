"""Signals that stop: which are handled, by what exit code, and how often."""

import os
import signal

import pytest

from synthood.common.stopping import STOPS, Stopped, handling, stop


@pytest.fixture(autouse=True)
def _handlers():
    """The test gives its process's own back."""
    before = {one: signal.getsignal(one) for one in STOPS}
    yield
    for one, known in before.items():
        signal.signal(one, known)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_with_the_exit_code_of_shells(number, code):
    before = [signal.getsignal(one) for one in STOPS]
    with pytest.raises(Stopped) as caught, handling(stop):
        os.kill(os.getpid(), number)
    assert (caught.value.code, caught.value.number) == (code, number)
    assert [signal.getsignal(one) for one in STOPS] == before


def test_a_second_signal_does_not_disturb_what_the_first_one_began():
    done = []

    def work():
        try:
            os.kill(os.getpid(), signal.SIGINT)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
            done.append("removed")

    with pytest.raises(Stopped), handling(stop):
        work()
    assert done == ["removed"]


def test_an_ignored_signal_stays_ignored():
    """As under nohup, when the terminal closes."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with handling(stop):
        os.kill(os.getpid(), signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
