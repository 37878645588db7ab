"""VOS: outliers drawn in feature space, and energies that tell them from ID samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from synthood.common.lazy import F, Tensor, lazy, nn, torch
from synthood.common.seeds import numpy_generator
from synthood.common.settings import BEFORE_THE_END, Count, Fraction
from synthood.errors import SynthoodError
from synthood.training.methods.base import Method, Weight
from synthood.training.methods.term import Batch, Context, ForwardOutputs, Term

if TYPE_CHECKING:
    from synthood.training.terms import heads
else:
    heads = lazy("synthood.training.terms.heads")


class VirtualOutliers(Method):
    """Outliers drawn in feature space."""

    key = "virtual_outliers"
    paper = "VOS, arXiv 2202.01197"
    order = 9
    head = "virtual_outliers"
    hard_labels = True
    per_sample = False

    kind: Literal["virtual_outliers"] = "virtual_outliers"
    weight: Weight = 0.1
    start: Annotated[Fraction, BEFORE_THE_END, Field(description="share of the steps without them")] = 0.4
    queue: Annotated[int, Field(ge=2, description="features kept of each class")] = 1000
    candidates: Annotated[Count, Field(description="drawn from the Gaussian of each class")] = 10000
    per_class: Annotated[Count, Field(description="candidates taken, the least likely")] = 1
    shrinkage: Annotated[float, Field(gt=0, le=1, description="of the covariance towards its mean variance")] = 0.01
    implementation: Annotated[
        Literal["correct", "released"],
        Field(description="released: energies of the benchmark's code, without gradient into the network"),
    ] = "correct"

    @model_validator(mode="after")
    def _enough_candidates(self) -> Self:
        if self.per_class > self.candidates:
            raise ValueError(f"per_class {self.per_class} of only {self.candidates} candidates; raise candidates")
        return self

    def check_recipe(self, recipe: Any) -> None:
        if recipe.normalisation and recipe.normalisation.kind == "t2fnorm":
            raise ValueError("virtual_outliers are drawn among features as they are, which t2fnorm does not train on")

    def check_classes(self, counts: dict[str, int], recipe: Any) -> None:
        check_queue(self, self.queue, counts, recipe)

    def terms(self, context: Context) -> dict[str, Term]:
        return {"virtual_outliers": VirtualOutlierSynthesis(self, context.features, context.classes)}


class VirtualOutlierSynthesis(Term):
    """VOS (arXiv 2202.01197): a logistic loss of weighted energies of the batch and of unlikely Gaussian samples.

    Features of each class wait in a queue; once all queues are full and `start` of the steps are done, a Gaussian
    per class with one covariance gives the outliers. The network learns through the batch's own energies, its last
    layer through both. The weights of the energy and the logistic layer play no part in the logits; `vos` reads them.
    `variant: released` trains the logistic layer alone, as OpenOOD's code does.
    """

    training_only_buffers = ("queue", "seen")

    def __init__(self, settings: VirtualOutliers, features: int, classes: int) -> None:
        super().__init__()
        self.settings = settings
        self.log_weights = nn.Parameter(torch.zeros(classes))
        self.logistic = heads.EnergyLogOdds()
        self.register_buffer("queue", torch.zeros(classes, settings.queue, features))
        self.register_buffer("seen", torch.zeros(classes, dtype=torch.long))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        settings = self.settings
        queue, seen = self.get_buffer("queue"), self.get_buffer("seen")
        enqueue(queue, seen, batch.features.detach(), batch.labels)
        if batch.progress < settings.start or int(seen.min()) < settings.queue:
            return {"virtual_outliers": 0 * batch.logits.sum()}
        virtual = unlikely(queue, settings.candidates, settings.per_class, settings.shrinkage, batch.random)
        outliers = F.linear(virtual, batch.head.weight, batch.head.bias)
        if settings.implementation == "released":
            drawn = [released_energies(logits, batch.random)[:, None] for logits in (batch.logits, outliers)]
            loss = binary(self.logistic(drawn[0]), self.logistic(drawn[1]))
            return {"virtual_outliers": settings.weight * loss}
        loss = uncertainty(batch.logits, outliers, self.log_weights, self.logistic.weight[0, 0], self.logistic.bias[0])
        return {"virtual_outliers": settings.weight * loss}

    def readout(self, outputs: ForwardOutputs) -> Tensor:
        """s log sum_k w_k exp(z_k) + b [N], the log odds that the image is ID (arXiv 2202.01197, eq. 5)."""
        return self.logistic((outputs.logits + self.log_weights).logsumexp(1, keepdim=True)).squeeze(1)


def check_queue(method: Method, queue: int, counts: dict[str, int], recipe: Any) -> None:
    """Raises SynthoodError where a class has so few images that its queue is never full: there would be no outliers."""
    if recipe.synthetic:  # whose images of each class are not known here
        return
    mean = sum(counts.values()) / len(counts)
    shown = {name: recipe.epochs * (mean if recipe.sampling == "balanced" else n) for name, n in counts.items()}
    name = min(shown, key=lambda each: shown[each])
    if shown[name] < queue:
        raise SynthoodError(
            f"{method.place}: class {name} has {counts[name]} training images, which {recipe.epochs} epochs show "
            f"{int(shown[name])} times, so that its queue of {queue} features is never full; lower queue, raise "
            f"epochs, or take sampling: balanced"
        )


def enqueue(queue: Tensor, seen: Tensor, features: Tensor, labels: Tensor) -> None:
    """Features [N,D] into the ring [C,Q,D] of their class, in order; `seen` [C] counts all that came."""
    length = queue.shape[1]
    hot = F.one_hot(labels, len(queue))
    own = labels[:, None]
    rank = (hot.cumsum(0) - 1).gather(1, own).squeeze(1)
    arrived = hot.sum(0)
    latest = rank >= arrived[labels] - length
    place = (seen[labels] + rank) % length
    queue[labels[latest], place[latest]] = features[latest]
    seen += arrived


def unlikely(queue: Tensor, candidates: int, per_class: int, shrinkage: float, random: torch.Generator) -> Tensor:
    """The least likely of so many Gaussian candidates around each class mean, float32 [C * per_class, D].

    The covariance of the queues [C,Q,D] is shared, and shrunk towards its mean variance. Likelihood falls with the
    whitened candidate's length alone, whose square is chi-squared and independent of its direction: so all lengths are
    drawn, and directions for the longest (arXiv 2202.01197, eq. 2 and 3).
    """
    classes, _, width = queue.shape
    means = queue.mean(1)
    centred = (queue - means[:, None]).flatten(0, 1)
    covariance = (centred.T @ centred / len(centred)).double()
    variance = covariance.diagonal().mean().clamp(min=1e-12)
    identity = torch.eye(width, dtype=torch.float64, device=queue.device)
    factor = torch.linalg.cholesky((1 - shrinkage) * covariance + shrinkage * variance * identity)
    squares = torch.from_numpy(numpy_generator(random).chisquare(width, (classes, candidates)))
    lengths = squares.topk(per_class, 1).values.sqrt()
    directions = F.normalize(torch.randn((classes, per_class, width), generator=random, dtype=torch.float64), dim=2)
    white = (lengths[:, :, None] * directions).to(queue.device, non_blocking=True)
    return (means[:, None] + (white @ factor.T).to(queue.dtype)).flatten(0, 1)


def uncertainty(known: Tensor, outliers: Tensor, log_weights: Tensor, scale: Tensor, offset: Tensor) -> Tensor:
    """Mean logistic loss, of s log sum_k w_k exp(z_k) + b, of logits [N,C] against [M,C] (arXiv
    2202.01197, eq. 4 to 6)."""
    energies = [scale * (logits + log_weights).logsumexp(1) + offset for logits in (known, outliers)]
    return binary(*energies)


def binary(known: Tensor, outliers: Tensor) -> Tensor:
    """Mean logistic loss of scores of ID samples against those of outliers."""
    labels = torch.cat([torch.ones_like(known), torch.zeros_like(outliers)])
    return F.binary_cross_entropy_with_logits(torch.cat([known, outliers]), labels)


def released_energies(logits: Tensor, random: torch.Generator) -> Tensor:
    """Energies [N] of logits [N,C] as OpenOOD's code has them: weights drawn anew, at least -1, without gradient."""
    logits, classes = logits.detach(), logits.shape[1]
    weights = ((2 * torch.rand(classes, generator=random) - 1) / classes**0.5).relu().to(logits.device)
    largest = logits.amax(1)
    return (largest + (weights * (logits - largest[:, None]).exp()).sum(1).log()).clamp(min=-1)
