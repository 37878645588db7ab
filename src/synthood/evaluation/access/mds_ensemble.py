"""Mahalanobis distances of the mean features of every stage, weighted by a logistic regression."""

import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from synthood.evaluation.access.method import ModelMethod, Rule
from synthood.evaluation.access.view import Look, Run, View
from synthood.evaluation.hyperparameters import Values


class MdsEnsemble(ModelMethod):
    """sum_l alpha_l M_l(x_l), M_l = -min_c (z_l - mu_lc)^T S_l^+ (z_l - mu_lc) (arXiv 1807.03888, algorithm 1).

    z_l are the channels' means of the stem's and each stage's last map, x_l = x + eps sign(grad M_l(x)), eps in units
    of pixels in [0,1]. Pseudo-inverses keep dead channels out. alpha comes from a logistic regression on standardised
    M_l of ID against OOD validation images. Fitted in one pass over the training images.
    """

    learns = True
    calibrates = True
    contrasts = True
    passed = ("noise",)

    def __init__(self, view: View, candidates: list[Values]) -> None:
        super().__init__(view, candidates)
        self.moments: list[Moments] = []
        self.means: list[Tensor] = []
        self.inverses: list[Tensor] = []

    def observe(self, look: Look, labels: Tensor) -> None:
        layers = self.layers(look.mapped)
        if not self.moments:
            self.moments = [Moments(z, self.view.classes) for z in layers]
        for moments, z in zip(self.moments, layers, strict=True):
            moments.add(z, labels.to(z.device))

    def observed(self) -> None:
        self.means = [moments.means() for moments in self.moments]
        self.inverses = [torch.linalg.pinv(moments.within(), hermitian=True) for moments in self.moments]

    def layers(self, run: Run) -> list[Tensor]:
        """Channels' means float64 [N,c] of the stem's map and of every stage's last."""
        ends = self.view.stages(run.maps)
        return [run.maps[index].mean((2, 3)).double() for index in dict.fromkeys([0, *ends])]

    def distance(self, run: Run, layer: int) -> Tensor:
        """M_l [N]."""
        gaps = self.layers(run)[layer][:, None] - self.means[layer]
        return -((gaps @ self.inverses[layer]) * gaps).sum(2).amin(1)

    def evidence(self, look: Look, values: Values) -> Tensor:
        """M_l(x_l) of every layer [N,L]."""
        count, noise = len(self.means), values["noise"]
        if not noise:
            return torch.stack([self.distance(look.mapped, layer) for layer in range(count)], 1).cpu()
        found = []
        for layer in range(count):

            def objective(run: Run, layer: int = layer) -> Tensor:
                return self.distance(run, layer)

            gradient = look.gradient(look.attached_maps, ("mds", layer), objective)
            with torch.no_grad():
                moved = self.view.run(look.inputs + noise * gradient.sign() / self.view.deviation, mapped=True)
            found.append(self.distance(moved, layer))
        return torch.stack(found, 1).cpu()

    def rule(self, values: Values, inside: Tensor | None, outside: Tensor | None) -> Rule:
        assert inside is not None
        assert outside is not None
        known = torch.cat([inside, outside])
        centre, spread = known.mean(0), known.std(0)
        spread = spread.where(spread > 0, 1)
        is_id = torch.cat([torch.ones(len(inside)), torch.zeros(len(outside))])
        regression = LogisticRegression(class_weight="balanced")
        regression.fit(((known - centre) / spread).numpy(), is_id.numpy())
        alpha = torch.from_numpy(regression.coef_[0]).double()
        return lambda evidence: ((evidence - centre) / spread @ alpha).float()


class Moments:
    """Running sums of vectors [N,c] by class, about the first batch's mean, in float64."""

    def __init__(self, first: Tensor, classes: int) -> None:
        self.origin = first.mean(0)
        self.counts = first.new_zeros(classes)
        self.sums = first.new_zeros(classes, first.shape[1])
        self.squares = first.new_zeros(first.shape[1], first.shape[1])

    def add(self, z: Tensor, labels: Tensor) -> None:
        centred = z - self.origin
        self.counts.index_add_(0, labels, torch.ones_like(centred[:, 0]))
        self.sums.index_add_(0, labels, centred)
        self.squares += centred.mT @ centred

    def means(self) -> Tensor:
        """Of the classes that have samples, [C,c]."""
        seen = self.counts > 0
        return self.origin + self.sums[seen] / self.counts[seen, None]

    def within(self) -> Tensor:
        """The covariance within classes [c,c]."""
        between = (self.sums / self.counts.clamp(min=1)[:, None]).mT @ self.sums
        return (self.squares - between) / self.counts.sum()
