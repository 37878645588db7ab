"""GCOS: outliers along directions of little variance, at distances between two conformal quantiles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from synthood.common.lazy import F, Tensor, lazy, nn, torch
from synthood.common.settings import BEFORE_THE_END, Count, Fraction
from synthood.errors import SynthoodError
from synthood.training.methods.base import Method, Weight
from synthood.training.methods.term import Batch, Context, Term
from synthood.training.methods.virtual_outliers import check_queue, enqueue, uncertainty

if TYPE_CHECKING:
    from synthood.training.terms import heads
else:
    heads = lazy("synthood.training.terms.heads")

Quantile = Annotated[float, Field(gt=0, lt=1)]
SMALLEST = 1e-12


class ShellOutliers(Method):
    """Outliers in feature space along directions of little variance, as far out as the strangest ID features."""

    key = "shell_outliers"
    paper = "GCOS, arXiv 2603.08413"
    order = 9
    hard_labels = True
    per_sample = False

    kind: Literal["shell_outliers"] = "shell_outliers"
    weight: Weight = 0.1
    start: Annotated[Fraction, BEFORE_THE_END, Field(description="share of the steps without them")] = 0.4
    queue: Annotated[int, Field(ge=4, description="latest features of each class; half fit, half calibrate")] = 1000
    per_class: Annotated[Count, Field(description="outliers of a step and class")] = 1
    directions: Annotated[
        Literal["each", "mean", "any"],
        Field(
            description="each: a principal direction of little variance per outlier; mean: all of these at once, with "
            "random signs; any: a random direction, the control"
        ),
    ] = "each"
    variance: Annotated[Quantile, Field(description="share of the variance in the directions that are left out")] = 0.9
    inner: Annotated[Quantile, Field(description="quantile of the ID distances where the shell begins")] = 0.95
    outer: Annotated[Quantile, Field(description="quantile of the ID distances where the shell ends")] = 0.99
    covariance: Annotated[Literal["class", "shared"], Field(description="of each class, or one of all")] = "class"
    calibration: Annotated[
        Literal["class", "pooled"], Field(description="quantiles of each class's distances, or of all classes'")
    ] = "class"
    shrinkage: Annotated[float, Field(gt=0, le=1, description="of the covariance towards its mean variance")] = 0.01
    refit: Annotated[Count, Field(description="steps from one fit of the shell to the next")] = 1
    loss: Annotated[
        Literal["energy", "mahalanobis", "logistic"],
        Field(description="score that a margin holds apart: energies or distances; logistic: VOS's loss of energies"),
    ] = "energy"

    @model_validator(mode="after")
    def _a_shell(self) -> Self:
        if self.inner >= self.outer:
            raise ValueError(f"inner {self.inner} must lie below outer {self.outer}; outliers lie between them")
        if self.calibration == "class" and not reached(self.outer, self.queue // 2):
            raise ValueError(
                f"{self.too_few(self.queue // 2)}; raise queue to {2 * fewest(self.outer)}, lower outer, or take "
                f"calibration: pooled"
            )
        return self

    def too_few(self, count: int) -> str:
        """What is wrong with so many calibration features."""
        need = fewest(self.outer)
        return f"the quantile outer {self.outer} needs {need} calibration features, and half a queue has {count}"

    def check_recipe(self, recipe: Any) -> None:
        if recipe.normalisation and recipe.normalisation.kind == "t2fnorm":
            raise ValueError("shell_outliers are drawn among features as they are, which t2fnorm does not train on")

    def check_classes(self, counts: dict[str, int], recipe: Any) -> None:
        check_queue(self, self.queue, counts, recipe)

    def terms(self, context: Context) -> dict[str, Term]:
        return {"shell_outliers": ShellSynthesis(self, context.features, context.classes)}


class ShellSynthesis(Term):
    """GCOS (arXiv 2603.08413): outliers mu_c + a v, v a direction of little variance, a from the shell, and a margin.

    Read: the abstract and a summary of the paper; its text was not at hand, nor is there code. Our reading: features
    of each class wait in a queue, of which every second one fits mean and covariance and the others calibrate, so
    that the quantiles are split-conformal; the paper calibrates once an epoch on images set apart. The margin's loss
    is a mean over all pairs of an ID sample and an outlier, and its energies have no weights, as at inference.
    The network learns through the batch's own scores, its last layer through both.
    """

    buffers_of_shell = ("means", "vectors", "variances", "small", "bounds")
    training_only_buffers = ("queue", "seen", "age", *buffers_of_shell)

    def __init__(self, settings: ShellOutliers, features: int, classes: int) -> None:
        super().__init__()
        self.settings = settings
        count = settings.queue // 2 * (classes if settings.calibration == "pooled" else 1)
        if not reached(settings.outer, count):
            raise SynthoodError(f"shell_outliers: {settings.too_few(count)} of all classes; raise queue or lower outer")
        if settings.loss == "logistic":
            self.log_weights = nn.Parameter(torch.zeros(classes))
            self.logistic = heads.EnergyLogOdds()
        self.register_buffer("queue", torch.zeros(classes, settings.queue, features))
        self.register_buffer("seen", torch.zeros(classes, dtype=torch.long))
        self.register_buffer("age", torch.zeros((), dtype=torch.long))
        own = classes if settings.covariance == "class" else 1
        for name, shape in (
            ("means", (classes, features)),
            ("vectors", (own, features, features)),
            ("variances", (own, features)),
            ("small", (own, features)),
            ("bounds", (classes, 2)),
        ):
            # Where it is fitted at every step, no resumed run needs it.
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64), persistent=settings.refit > 1)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        settings, queue, seen = self.settings, self.get_buffer("queue"), self.get_buffer("seen")
        enqueue(queue, seen, batch.features.detach(), batch.labels)
        if batch.progress < settings.start or int(seen.min()) < settings.queue:
            return {"shell_outliers": 0 * batch.logits.sum()}
        if not queue.isfinite().all():  # the loop names the loss, or rolls back
            return {"shell_outliers": torch.nan * batch.logits.sum()}
        shell = self.shell(queue)
        outliers = shell.drawn(settings.per_class, settings.directions, batch.random)
        if not len(outliers):  # all features of every class are alike
            return {"shell_outliers": 0 * batch.logits.sum()}
        return {"shell_outliers": settings.weight * self.loss(batch, shell, outliers)}

    def shell(self, queue: Tensor) -> Shell:
        """The shell, fitted anew where it is old."""
        age = self.get_buffer("age")
        parts = {name: self.get_buffer(name) for name in self.buffers_of_shell}
        if int(age) % self.settings.refit == 0:
            fitted = fit_shell(queue, self.settings)
            for name, buffer in parts.items():
                buffer.copy_(getattr(fitted, name))
        age += 1
        return Shell(**parts)

    def loss(self, batch: Batch, shell: Shell, outliers: Tensor) -> Tensor:
        """Of the batch against outliers float64 [M,D]."""
        if self.settings.loss == "mahalanobis":
            known = shell.distances(batch.features.double()).gather(1, batch.labels[:, None]).squeeze(1)
            return held_apart(known, shell.distances(outliers).amin(1)).to(batch.logits.dtype)
        logits = F.linear(outliers.to(batch.head.weight.dtype), batch.head.weight, batch.head.bias)
        if self.settings.loss == "energy":
            return held_apart(-batch.logits.logsumexp(1), -logits.logsumexp(1))
        return uncertainty(batch.logits, logits, self.log_weights, self.logistic.weight[0, 0], self.logistic.bias[0])


@dataclass(frozen=True)
class Shell:
    """A Gaussian of each class, and the squared distances between which its outliers lie; all float64.

    means [C,D]; of each class or of all (V = C or 1) the principal directions, columns of vectors [V,D,D], with their
    variances [V,D] in rising order, and small [V,D], 1 where outliers may go; bounds [C,2].
    """

    means: Tensor
    vectors: Tensor
    variances: Tensor
    small: Tensor
    bounds: Tensor

    def distances(self, features: Tensor) -> Tensor:
        """Squared Mahalanobis distances [N,C] of features float64 [N,D]."""
        return self.own_distances(features.expand(len(self.means), *features.shape)).T

    def own_distances(self, features: Tensor) -> Tensor:
        """Those [C,N] of features float64 [C,N,D] of each class to their own."""
        away = (features - self.means[:, None]) @ self.vectors
        return (away.square() / self.variances[:, None]).sum(2)

    def per_class(self, values: Tensor) -> Tensor:
        """Values [V,...] as [C,...]."""
        return values.expand(len(self.means), *values.shape[1:])

    def drawn(self, per_class: int, directions: str, random: torch.Generator) -> Tensor:
        """So many outliers of each class, float64 [C * per_class, D], with distances between the bounds.

        Along v from the mean, the squared distance is a^2 sum_i (v.e_i)^2 / lambda_i: a needs no search. A class whose
        features are all alike has no shell and gets none.
        """
        classes, width = self.means.shape
        shape, device = (classes, per_class, width), self.means.device
        signs = 2.0 * torch.randint(2, shape, generator=random, dtype=torch.float64).to(device) - 1
        small = self.per_class(self.small)[:, None]
        if directions == "each":
            picked = torch.rand(shape, generator=random, dtype=torch.float64).to(device).masked_fill(small == 0, -1)
            along = signs * F.one_hot(picked.argmax(2), width)
        elif directions == "mean":
            along = signs * small
        else:
            along = torch.randn(shape, generator=random, dtype=torch.float64).to(device)
        squares = (along.square() / self.variances[:, None]).sum(2)
        inner, outer = self.bounds.sqrt()[:, None].unbind(2)
        share = torch.rand(shape[:2], generator=random, dtype=torch.float64).to(device)
        lengths = (inner + share * (outer - inner)) / squares.sqrt()
        steps = torch.einsum("cke,cde->ckd", lengths[:, :, None] * along, self.per_class(self.vectors))
        return (self.means[:, None] + steps)[self.bounds[:, 1] > 0].flatten(0, 1)


def fit_shell(queue: Tensor, settings: ShellOutliers) -> Shell:
    """Gaussians of every second feature of the queues [C,Q,D], and conformal quantiles of the others' distances."""
    fitted, calibration = queue[:, ::2].double(), queue[:, 1::2].double()
    means = fitted.mean(1)
    centred = fitted - means[:, None]
    covariance = centred.mT @ centred / fitted.shape[1]
    if settings.covariance == "shared":
        covariance = covariance.mean(0, keepdim=True)
    found, vectors = torch.linalg.eigh(covariance)
    found = found.clamp(min=0)
    total = found.sum(1, keepdim=True)
    small = (found.cumsum(1) <= (1 - settings.variance) * total).double()
    small[:, 0] = 1
    variances = torch.lerp(found, total / found.shape[1], settings.shrinkage).clamp(min=SMALLEST)
    shell = Shell(means, vectors, variances, small, means.new_zeros((len(means), 2)))
    own = shell.own_distances(calibration)
    scores = own.flatten()[None] if settings.calibration == "pooled" else own
    bounds = torch.stack([conformal(scores, share) for share in (settings.inner, settings.outer)], 1)
    return Shell(means, vectors, variances, small, bounds.expand(len(means), 2))


def rank(share: float, count: int) -> int:
    """ceil(share (n + 1)), robust against rounding of the product."""
    return math.ceil(share * (count + 1) - 1e-9)


def reached(share: float, count: int) -> bool:
    """Whether so many calibration scores have this conformal quantile."""
    return rank(share, count) <= count


def fewest(share: float) -> int:
    """Calibration scores that this conformal quantile needs."""
    return math.ceil(share / (1 - share) - 1e-9)


def conformal(scores: Tensor, share: float) -> Tensor:
    """The ceil(share (n + 1))-th smallest of n scores [...,n]; a new score is at most that with this probability."""
    count = scores.shape[-1]
    return scores.sort(-1).values[..., rank(share, count) - 1]


def held_apart(known: Tensor, outliers: Tensor) -> Tensor:
    """Mean over pairs of max(0, s - s' + m), of strangeness s [N] of ID samples and s' [M] of outliers.

    The margin m is the distance between the 95th and the 50th percentile of the ID samples' own, without gradient.
    """
    low, high = known.detach().quantile(known.new_tensor([0.5, 0.95])).unbind()
    return F.relu(known[:, None] - outliers[None] + high - low).mean()
