"""Progress that reads well on a terminal (a bar) and in a log file (a line now and then)."""

import sys
import time
from collections.abc import Mapping

from tqdm import tqdm

LOG_EVERY_SECONDS = 10.0


class Progress:
    """Shows step, rate, remaining time and figures of a loop of `total` steps."""

    def __init__(self, name: str, total: int, start: int = 0) -> None:
        self.name, self.total, self.start = name, total, start
        self.began = self.shown = time.monotonic()
        self.bar = tqdm(total=total, initial=start, desc=name) if sys.stderr.isatty() else None

    def update(self, done: int, figures: Mapping[str, float]) -> None:
        """Reports that `done` steps are finished."""
        text = " ".join(f"{key} {value:.4g}" for key, value in figures.items())
        if self.bar is not None:
            self.bar.set_postfix_str(text, refresh=False)
            self.bar.update(done - self.bar.n)
            return
        now = time.monotonic()
        if now - self.shown >= LOG_EVERY_SECONDS or done == self.total:
            self.shown = now
            rate = (done - self.start) / max(now - self.began, 1e-9)
            left = (self.total - done) / max(rate, 1e-9)
            status = f"step {done}/{self.total}, {rate:.1f} steps/s, {left:.0f} s left"
            print(f"{self.name}: {status}{', ' if text else ''}{text}", flush=True)

    def log(self, text: str) -> None:
        """A line of its own."""
        if self.bar is None:
            print(text, flush=True)
        else:
            self.bar.write(text)

    def close(self) -> None:
        """Ends the bar's line."""
        if self.bar is not None:
            self.bar.close()
