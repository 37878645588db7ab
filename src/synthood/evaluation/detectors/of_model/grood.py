"""GROOD: the gradient in an OOD prototype against those of training images."""

from __future__ import annotations

from typing import Literal

from synthood.common.lazy import F, Tensor, torch
from synthood.common.neighbours import kth_distance
from synthood.errors import SynthoodError
from synthood.evaluation.detectors.base import State, class_means
from synthood.evaluation.detectors.of_model.base import ModelMethod, OfMaps, Scorer
from synthood.evaluation.hyperparameters import Values
from synthood.evaluation.probe import BatchView, Probe


class GroodMethod(ModelMethod):
    """-min_i ||g - g_i||^2 (arXiv 2312.14427), g the gradient of the loss in the OOD prototype q, in closed form.

    The loss is the cross-entropy of the prediction with logits -||h - p_c|| for the mean training features p_c of each
    class and -||h - q||, so that g = softmax_q (h - q) / ||h - q||. q is the mean feature of OOD validation images, as
    in OpenOOD's default; g_i are those of all rightly classified training images, where OpenOOD's index searches a few
    cells of them. Its other ways to a q (noise, mixed features) are not here.
    """

    needs_train = True
    needs_val = True
    needs_ood_val = True

    def __init__(self, probe: Probe, candidates: list[Values]) -> None:
        super().__init__(probe, candidates)
        self.features: list[Tensor] = []
        self.labels: list[Tensor] = []
        self.right: list[Tensor] = []
        self.prototypes, self.known = torch.empty(0), torch.empty(0)

    def observe(self, batch: BatchView, labels: Tensor) -> None:
        self.features.append(batch.plain.features.float().cpu())
        self.labels.append(labels.cpu())
        self.right.append(batch.plain.logits.argmax(1).cpu() == labels.cpu())

    def observed(self) -> None:
        features, labels, right = (torch.cat(each) for each in (self.features, self.labels, self.right))
        if not right.any():
            raise SynthoodError("grood: the model classifies no training image rightly; train it first")
        self.prototypes = class_means(features, labels, labels, self.probe.classes).float()
        self.known = features[right]

    def statistic(self, batch: BatchView, values: Values) -> Tensor:
        """h [N,D]."""
        return batch.plain.features.float().cpu()

    def state(self, values: Values, inside: Tensor | None, outside: Tensor | None) -> State:
        assert outside is not None
        prototypes = torch.cat([self.prototypes, outside.double().mean(0, keepdim=True).float()])
        return {"prototypes": prototypes, "gradients": gradients(self.known, prototypes)}

    def scorer(self, values: Values, state: State) -> Scorer:
        prototypes, known = state["prototypes"], state["gradients"].double()
        # In double precision: gradients of ID images are as small as the share of q
        return lambda h: -kth_distance(gradients(h, prototypes).double(), known, 1).square().float()


def gradients(features: Tensor, prototypes: Tensor) -> Tensor:
    """softmax_q (h - q) / ||h - q|| [N,D] of features [N,D], q the last of the prototypes [C+1,D]."""
    gaps = torch.cdist(features, prototypes, compute_mode="donot_use_mm_for_euclid_dist")
    return (-gaps).softmax(1)[:, -1:] * F.normalize(features - prototypes[-1])


class Grood(OfMaps):
    """Distance of the gradient in an OOD prototype to those of training images."""

    kind: Literal["grood"] = "grood"

    paper = "arXiv 2312.14427"
    labelled = True
    method = GroodMethod
