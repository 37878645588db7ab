"""Power and false alarms of `synthood monitor`: python benchmarks/monitor.py [--months 100] [--check]

Simulated months of 30 days. Confidences are normal; `--calibration` of them calibrate each month anew. From day 16 on a
share of the images is unknown, with confidences `--shift` standard deviations lower. Printed for each share: months
with an alarm before day 16 (false), months with one from it on (found), and the median day of the first of those.

With --check, exit code 1 where false alarms are more than 95 % of binomial draws of the level would be, or where 20 %
of 50 images are not found in each month.
"""

import argparse
import os
import sys
import time

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from synthood.deploy import conformal
from synthood.monitor import drift
from synthood.monitor.periods import ALERT

DAYS, CHANGE, WINDOW = 30, 15, 7
SHARES = (0.0, 0.02, 0.05, 0.1, 0.2)


def months(
    count: int, calibration: int, images: int, share: float, shift: float, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Confidences [months, calibration] and [months, days, images]; a `share` of the later ones is lower by `shift`."""
    random = np.random.default_rng(seed)
    known = random.normal(size=(count, calibration))
    new = random.normal(size=(count, DAYS, images))
    new[:, CHANGE:] -= shift * (random.random((count, DAYS - CHANGE, images)) < share)
    return known, new


def adjusted(known: NDArray[np.float64], new: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    """The least adjusted p-value [months, days] of all tests that raise alarms, of every day and its week."""
    count, days = new.shape[:2]
    n = known.shape[1]
    k = conformal.rank(level, n)
    rejected = (new < np.sort(known, axis=1)[:, k - 1, None, None]).sum(2)
    found = np.ones((count, days))
    for day in range(days):
        for first in {day, max(0, day - WINDOW + 1)}:
            together = new[:, first : day + 1].reshape(count, -1)
            m = together.shape[1]
            u, distance = drift.compare(known, together)
            tails = drift.rejection_tails(((m, k, n),))[rejected[:, first : day + 1].sum(1)]
            differ = np.array([drift.changed(int(one), n, m) for one in distance])
            found[:, day] = np.minimum(found[:, day], np.minimum(tails, np.minimum(drift.lower(u, n, m), differ)))
    return np.minimum(1, found * drift.factor(np.arange(1, days + 1)) * 2 * len(ALERT))


def first_alarms(values: NDArray[np.float64], alpha: float) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which months have an alarm before the change; the day (from 1) of the first after it, 0 where there is none."""
    alarm = values <= alpha
    later = alarm[:, CHANGE:]
    return np.asarray(alarm[:, :CHANGE].any(1)), np.where(later.any(1), CHANGE + 1 + later.argmax(1), 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--months", type=int, default=100)
    parser.add_argument("--calibration", type=int, default=500, help="images")
    parser.add_argument("--images", type=int, nargs="+", default=[10, 50, 200], help="a day")
    parser.add_argument("--shift", type=float, default=4.0, help="standard deviations")
    parser.add_argument("--level", type=float, default=0.05)
    parser.add_argument("--alpha", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", action="store_true", help="exit code 1 where a bar is not met")
    given = parser.parse_args()
    bar, met, began = int(stats.binom.ppf(0.95, given.months, given.alpha)), True, time.monotonic()
    print(
        f"{given.months} months, {given.calibration} calibration images, level {given.level:g}, alpha {given.alpha:g}"
    )
    print("images a day | unknown from day 16 | false alarms | found | median day of the first alarm")
    for images in given.images:
        for share in SHARES:
            known, new = months(given.months, given.calibration, images, share, given.shift, given.seed)
            false, day = first_alarms(adjusted(known, new, given.level), given.alpha)
            found = day[day > 0]
            median = f"{np.median(found):g}" if len(found) else "-"
            print(f"{images:12} | {share:19.0%} | {false.sum():12} | {len(found):5} | {median}", flush=True)
            met &= int(false.sum()) <= bar and (share < 0.2 or images < 50 or len(found) == given.months)
    print(f"bars ({bar} false alarms, 20 % of 50 images found in each month): {'met' if met else 'NOT MET'}")
    print(f"{time.monotonic() - began:.0f} s, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    return int(given.check and not met)


if __name__ == "__main__":
    sys.exit(main())
