"""Mahalanobis distances of the mean features of every stage, weighted by a logistic regression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from synthood.common.lazy import Tensor, lazy, torch
from synthood.evaluation.detectors.base import State
from synthood.evaluation.detectors.of_model.base import ModelDetector, ModelMethod, Noise, Scorer, in_order
from synthood.evaluation.hyperparameters import Access, Values
from synthood.evaluation.probe import BatchView, ForwardRun, Probe

if TYPE_CHECKING:
    from sklearn import linear_model
else:
    linear_model = lazy("sklearn.linear_model")


class MdsEnsembleMethod(ModelMethod):
    """sum_l alpha_l M_l(x_l), M_l = -min_c (z_l - mu_lc)^T S_l^+ (z_l - mu_lc) (arXiv 1807.03888, algorithm 1).

    z_l are the channels' means of the stem's and each stage's last map, x_l = x + eps sign(grad M_l(x)), eps in units
    of pixels in [0,1]. Pseudo-inverses keep dead channels out. alpha comes from a logistic regression on standardised
    M_l of ID against OOD validation images. Fitted in one pass over the training images.
    """

    needs_train = True
    needs_val = True
    needs_ood_val = True
    pass_params = ("noise",)

    def __init__(self, probe: Probe, candidates: list[Values]) -> None:
        super().__init__(probe, candidates)
        self.moments: list[Moments] = []
        self.means: list[Tensor] = []
        self.inverses: list[Tensor] = []

    def observe(self, batch: BatchView, labels: Tensor) -> None:
        layers = self.layers(batch.mapped)
        if not self.moments:
            self.moments = [Moments(z, self.probe.classes) for z in layers]
        for moments, z in zip(self.moments, layers, strict=True):
            moments.add(z, labels.to(z.device))

    def observed(self) -> None:
        self.means = [moments.means() for moments in self.moments]
        self.inverses = [torch.linalg.pinv(moments.within(), hermitian=True) for moments in self.moments]

    def layers(self, run: ForwardRun) -> list[Tensor]:
        """Channels' means float64 [N,c] of the stem's map and of every stage's last."""
        ends = self.probe.stages(run.maps)
        return [run.maps[index].mean((2, 3)).double() for index in dict.fromkeys([0, *ends])]

    def distance(self, run: ForwardRun, layer: int) -> Tensor:
        """M_l [N]."""
        gaps = self.layers(run)[layer][:, None] - self.means[layer]
        return -((gaps @ self.inverses[layer]) * gaps).sum(2).amin(1)

    def statistic(self, batch: BatchView, values: Values) -> Tensor:
        """M_l(x_l) of every layer [N,L]."""
        count, noise = len(self.means), values["noise"]
        if not noise:
            return torch.stack([self.distance(batch.mapped, layer) for layer in range(count)], 1).cpu()
        found = []
        for layer in range(count):

            def objective(run: ForwardRun, layer: int = layer) -> Tensor:
                return self.distance(run, layer)

            gradient = batch.gradient(batch.attached_maps, ("mds", layer), objective)
            with torch.no_grad():
                moved = self.probe.run(batch.inputs + noise * gradient.sign() / self.probe.deviation, mapped=True)
            found.append(self.distance(moved, layer))
        return torch.stack(found, 1).cpu()

    def learned(self) -> State:
        pairs = enumerate(zip(self.means, self.inverses, strict=True))
        return {f"{name}.{i}": x for i, pair in pairs for name, x in zip(("means", "inverse"), pair, strict=True)}

    def restore(self, state: State) -> None:
        device = self.probe.device
        self.means, self.inverses = ([x.to(device) for x in in_order(state, name)] for name in ("means", "inverse"))

    def state(self, values: Values, inside: Tensor | None, outside: Tensor | None) -> State:
        assert inside is not None
        assert outside is not None
        known = torch.cat([inside, outside])
        centre, spread = known.mean(0), known.std(0)
        spread = spread.where(spread > 0, 1)
        is_id = torch.cat([torch.ones(len(inside)), torch.zeros(len(outside))])
        regression = linear_model.LogisticRegression(class_weight="balanced")
        regression.fit(((known - centre) / spread).numpy(), is_id.numpy())
        return {"centre": centre, "spread": spread, "alpha": torch.from_numpy(regression.coef_[0]).double()}

    def scorer(self, values: Values, state: State) -> Scorer:
        centre, spread, alpha = (state[name] for name in ("centre", "spread", "alpha"))
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


class MdsEnsemble(ModelDetector):
    """Mahalanobis distances of every stage's mean features, weighted by a regression."""

    kind: Literal["mds-ensemble"] = "mds-ensemble"
    noise: Noise = 0.0014

    paper = "arXiv 1807.03888"
    compared = "no step, weights given"
    labelled = True
    method = MdsEnsembleMethod

    @property
    def access(self) -> Access:  # type: ignore[override]  # by its noise, where others have a constant
        levels = self.noise if isinstance(self.noise, list) else [self.noise]
        return "gradients" if any(levels) else "maps"
