"""Detectors by Gaussian distances of normalised features, in double precision.

Along its own direction a normalised feature hardly varies, so that distances stretch what single precision rounds.
"""

from __future__ import annotations

from typing import Literal

from synthood.common.lazy import F, Tensor
from synthood.evaluation.detectors.base import Detector, Score, State
from synthood.evaluation.detectors.distances import ClassDistance, Whitened, class_distances
from synthood.evaluation.features import Features, Reference
from synthood.evaluation.moments import pseudo_whitening


class MdsPlusPlus(Detector):
    """Minus the Mahalanobis distance of the normalised feature to the nearest class mean (Mahalanobis++).

    -min_c (z - mu_c)^T S^+ (z - mu_c), z = h / ||h||, mu_c and S the class means and the covariance within classes of
    the training features' z (section 4). As `mds` of z.
    """

    kind: Literal["mds-plus-plus"] = "mds-plus-plus"

    paper = "arXiv 2505.18032"
    inputs = ("features",)
    fitted_on = ("train",)
    labelled = True

    def state(self, reference: Reference) -> State:
        return class_distances(reference.direction_moments)

    def scorer(self, state: State) -> Score:
        nearest = ClassDistance(state, exact=True)
        return Score(lambda x: -nearest(direction(x)).float())


class RmdsPlusPlus(Detector):
    """Relative Mahalanobis distance of the normalised feature (relative Mahalanobis++).

    (z - mu)^T S_0^+ (z - mu) - min_c (z - mu_c)^T S^+ (z - mu_c), z = h / ||h||. As `rmds` of z.
    """

    kind: Literal["rmds-plus-plus"] = "rmds-plus-plus"

    paper = "arXiv 2505.18032"
    inputs = ("features",)
    fitted_on = ("train",)
    labelled = True

    def state(self, reference: Reference) -> State:
        moments = reference.direction_moments
        return class_distances(moments) | {"total": pseudo_whitening(*moments.components)}

    def scorer(self, state: State) -> Score:
        nearest, whitened = ClassDistance(state, exact=True), Whitened(state["mean"], state["total"], exact=True)

        def score(x: Features) -> Tensor:
            z = direction(x)
            return (whitened(z).square().sum(1) - nearest(z)).float()

        return Score(score)


class Ssd(Detector):
    """Minus the Mahalanobis distance of the normalised feature to the mean of all, without labels.

    -(z - mu)^T S^+ (z - mu), z = h / ||h||, mu and S mean and covariance of the training features' z: one cluster. The
    release standardises z, too, which changes no such distance; for networks trained by cross-entropy it can take
    classes as clusters, each with a covariance of its own, which is not here (`gmm` has such covariances).
    """

    kind: Literal["ssd"] = "ssd"

    paper = "arXiv 2103.12051"
    inputs = ("features",)
    fitted_on = ("train",)

    def state(self, reference: Reference) -> State:
        moments = reference.direction_moments
        return {"mean": moments.mean, "total": pseudo_whitening(*moments.components)}

    def scorer(self, state: State) -> Score:
        whitened = Whitened(state["mean"], state["total"], exact=True)
        return Score(lambda x: -whitened.squared_length(direction(x)).float())


def direction(x: Features) -> Tensor:
    """h / ||h|| float64 [N,D]."""
    return F.normalize(x.features.double())
