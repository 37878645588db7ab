"""What NCIS claims, in numbers: held-out ID images lie inside the class manifolds, outliers outside."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from synthood.common.tensors import Arrays


def share(chosen: NDArray[np.bool_]) -> dict[str, float]:
    """The share of a sample bool [N] with Wilson's 95 % interval, and N; no numbers where N is 0."""
    count, total = int(chosen.sum()), len(chosen)
    if total == 0:
        return {"share": float("nan"), "low": float("nan"), "high": float("nan"), "of": 0}
    interval = binomtest(count, total).proportion_ci(method="wilson")
    return {"share": count / total, "low": float(interval.low), "high": float(interval.high), "of": total}


def manifold_figures(found: Arrays) -> dict[str, object]:
    """Shares of held-out ID images inside, and of outliers outside, from what `tails` wrote.

    Inside the own class's manifold, or inside any; outside all. And the held-out images' denoising losses on new noise.
    """
    held_out, outliers, edge = found["held_out"], found["distances"], float(found["edge"][0])
    own = held_out[np.arange(len(held_out)), found["held_out_labels"]]
    return {
        "quantile": float(found["quantile"][0]),
        "word_loss": float(found["held_out_word_loss"].mean()),
        "token_loss": float(found["held_out_token_loss"].mean()),
        "held_out_inside": share(own <= edge),
        "held_out_inside_any": share(held_out.min(1) <= edge),
        "outliers_outside_all": share(outliers.min(1) > edge),
    }
