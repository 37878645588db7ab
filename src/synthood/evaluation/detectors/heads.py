"""Detectors that look at a feature and the head's weights, or the predicted class's mean."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from synthood.common.lazy import Tensor, torch
from synthood.common.settings import Positive
from synthood.evaluation.detectors.base import GRID, TINY, Detector, Grids, Score, State, class_means
from synthood.evaluation.features import Bank, Features, Reference


class GradNorm(Detector):
    """L1 norm of the head's gradient of the loss to the uniform distribution.

    ||h||_1 sum_c |1 - C p_c|: the L1 norm of the gradient that cross-entropy to uniform has in W.

    Times C as in OpenOOD; no backward pass, since the gradient is an outer product.
    """

    kind: Literal["gradnorm"] = "gradnorm"
    temperature: Annotated[Positive, GRID, Field(description="divides the logits")] = 1.0

    paper = "arXiv 2110.00218"
    compared = "equal with its filter on W"
    inputs = ("logits", "features")

    def confidence(self, x: Features, state: State) -> Tensor:
        p = (x.logits / self.temperature).softmax(1)
        return x.features.abs().sum(1) * (1 - p.shape[1] * p).abs().sum(1)


class GradUncertainty(Detector):
    """Squared norm of the last layer's gradient of the loss to a label of all classes.

    ||C p - 1||^2 (||h||^2 + 1): the squared L2 norm of the gradient that binary cross-entropy of p to all ones has in W
    and b. It is larger for ID: the gradient vanishes where p is uniform.

    No backward pass, since the gradient is an outer product. The paper trains a classifier on such norms of every
    layer, with OOD data; the norm without training is pytorch-ood's, which takes all layers by default.
    """

    kind: Literal["grad-uncertainty"] = "grad-uncertainty"

    paper = "arXiv 2008.08030"
    compared = "equal with its filter on the last layer"
    inputs = ("logits", "features")

    def confidence(self, x: Features, state: State) -> Tensor:
        slopes = x.logits.shape[1] * x.logits.softmax(1) - 1
        return slopes.square().sum(1) * (x.features.square().sum(1) + 1)


class She(Detector):
    """Inner product with the mean feature of the predicted class.

    <h, m_c>, m_c the mean of training features rightly classified as the prediction c.
    """

    kind: Literal["she"] = "she"

    paper = "Zhang et al., ICLR 2023"
    compared = "equal"
    inputs = ("logits", "features")
    fitted_on = ("train",)
    labelled = True

    def state(self, reference: Reference) -> State:
        train, classes = reference.train, reference.weight.shape[0]
        return {"means": class_means(train.features, train.labels, train.logits.argmax(1), classes).float()}

    def confidence(self, x: Features, state: State) -> Tensor:
        return (x.features * state["means"][x.logits.argmax(1)]).sum(1)


class Ctm(Detector):
    """Cosine of the feature and the most similar mean feature of a class (class typical matching).

    max_c cos(h, m_c) - 1, m_c the mean of the class's training features.

    By distances, since float32 rounds cosines near one. Checked against a public implementation, not the paper's text;
    another one takes the predicted class, and means of rightly classified samples alone.
    """

    kind: Literal["ctm"] = "ctm"

    paper = "arXiv 2306.14920"
    inputs = ("features",)
    fitted_on = ("train",)
    labelled = True

    def state(self, reference: Reference) -> State:
        return {"means": reference.moments.means.float()}

    def scorer(self, state: State) -> Score:
        bank = Bank(state["means"])
        points = bank.points(state["means"])
        return Score(lambda x: (bank.queries(x.features) @ points.T).amax(1))


class Nci(Detector):
    """Cosine of the centred feature and the predicted class's weights, plus an L1 norm.

    <w_c, h - mu> / ||h - mu|| + alpha ||h||_1, c the prediction.
    """

    kind: Literal["nci"] = "nci"
    alpha: Annotated[float, Field(ge=0), GRID, Field(description="weight of the L1 norm")] = 1e-4

    paper = "arXiv 2311.01479"
    compared = "equal"
    inputs = ("logits", "features", "head")
    fitted_on = ("train",)
    grid: ClassVar[Grids] = {"alpha": [0.0001, 0.001, 0.01, 0.1]}

    def state(self, reference: Reference) -> State:
        return {"mean": reference.moments.mean.float(), "weight": reference.weight}

    def confidence(self, x: Features, state: State) -> Tensor:
        centred = x.features - state["mean"]
        along = (centred * state["weight"][x.logits.argmax(1)]).sum(1)
        return along / centred.norm(dim=1).clamp(min=TINY) + self.alpha * x.features.abs().sum(1)


class Fdbd(Detector):
    """Mean distance to the decision boundaries over the distance to the mean feature.

    Mean over c of |l_c - l_max| / ||w_c - w_max||, over ||h - mu||, or over ||h||.

    Classes with equal weights have no boundary between them and add nothing.
    """

    kind: Literal["fdbd"] = "fdbd"
    centred: Annotated[bool, GRID, Field(description="false: over the feature's norm")] = True

    paper = "arXiv 2312.11536"
    compared = "equal"
    inputs = ("logits", "features", "head")
    fitted_on = ("train",)
    grid: ClassVar[Grids] = {"centred": [True, False]}

    def state(self, reference: Reference) -> State:
        mean = reference.moments.mean.float() if self.centred else reference.weight.new_zeros(reference.weight.shape[1])
        return {"mean": mean, "weight": reference.weight}

    def scorer(self, state: State) -> Score:
        mean, weight = state["mean"], state["weight"]
        gaps = torch.cdist(weight, weight, compute_mode="donot_use_mm_for_euclid_dist")
        inverse = torch.where(gaps > 0, 1 / gaps.clamp(min=TINY), 0.0)

        def score(x: Features) -> Tensor:
            largest, predicted = x.logits.max(1)
            boundaries = ((largest[:, None] - x.logits) * inverse[predicted]).sum(1) / (len(inverse) - 1)
            return boundaries / (x.features - mean).norm(dim=1).clamp(min=TINY)

        return Score(score)
