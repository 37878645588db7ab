"""Run times of detectors, as a job that scores records them in its provenance."""

from collections.abc import Mapping

TIMES = "seconds_by_detector"
Times = dict[str, float]
"""Seconds of fitting (`fit`, with the search) and of scoring (`score`), and the number of scored `samples`."""


def times_of(fitting: Mapping[str, float], scoring: Mapping[str, float], samples: int) -> dict[str, Times]:
    """By detector, rounded to microseconds."""
    return {
        name: {"fit": round(fitting.get(name, 0.0), 6), "score": round(seconds, 6), "samples": samples}
        for name, seconds in scoring.items()
    }
