"""OAL: contrast of features against outlier embeddings and latents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from synthood.common.lazy import F, Tensor, lazy, nn, torch
from synthood.common.settings import Name, Positive, Ref
from synthood.errors import SynthoodError
from synthood.training.methods.base import Method
from synthood.training.methods.term import Batch, Context, Term
from synthood.training.methods.virtual_outliers import uncertainty
from synthood.training.outlier_set import OutlierSet, Space
from synthood.training.terms.losses import cosine_distance

if TYPE_CHECKING:
    from synthood.training.terms import heads, mutual_information
else:
    heads = lazy("synthood.training.terms.heads")
    mutual_information = lazy("synthood.training.terms.mutual_information")


class OutlierTerms(Method):
    """Contrast of features against synthetic outliers, added to the recipe's other losses."""

    key = "outliers"
    paper = "OAL, arXiv 2406.16525"
    order = 2
    hard_labels = True
    needs_pixels = "its contrast moves the features themselves, which are fixed"
    per_sample = False

    kind: Literal["outliers"] = "outliers"
    from_: Annotated[Name, Ref("outliers"), Field(alias="from", description="a section of `outliers`")]
    boundary_weight: Annotated[float, Field(ge=0, description="of boundary embeddings; 0 leaves them out")] = 0.1
    latent_weight: Annotated[float, Field(ge=0, description="of latents; 0 leaves them out")] = 0.2
    energy_weight: Annotated[
        float, Field(ge=0, description="of the logistic loss of energies of the batch and of adapted latents")
    ] = 0.0
    estimator: Annotated[
        Literal["infonce", "club", "club-released"],
        Field(description="infonce: a lower bound raised; club: an upper bound lowered; club-released: as published"),
    ] = "infonce"
    temperature: Annotated[Positive, Field(description="of the cosines under infonce")] = 0.1
    negatives: Annotated[
        Literal["outliers", "other-classes"],
        Field(description="other-classes: ID samples of other classes in the outliers' place, a control"),
    ] = "outliers"
    latent_form: Annotated[
        Literal["whole", "row-mean"], Field(description="of latents under club; row-mean as published")
    ] = "whole"

    @model_validator(mode="after")
    def _something_to_contrast(self) -> Self:
        if not self.boundary_weight and not self.latent_weight:
            raise ValueError("boundary_weight and latent_weight are both 0; raise one, or take `outliers` away")
        if self.latent_form == "row-mean" and self.estimator == "infonce":
            raise ValueError("latent_form row-mean goes with the estimators club and club-released alone")
        if self.energy_weight and not (
            self.latent_weight and self.estimator == "infonce" and self.negatives == "outliers"
        ):
            raise ValueError(
                "energy_weight needs the adapter of outlier latents: latent_weight above 0, estimator infonce, "
                "negatives: outliers"
            )
        return self

    @property
    def maps_both_kinds(self) -> bool:
        """Whether training fits heads that bring outliers of both kinds into one space."""
        weights = self.boundary_weight and self.latent_weight
        return bool(weights) and self.estimator == "infonce" and self.negatives == "outliers"

    def terms(self, context: Context) -> dict[str, Term]:
        if context.outliers is None:
            return {}
        return {term.name: term for term in contrasts(self, context.outliers, context.classes, context.features)}


PROTOTYPE_MOMENTUM = 0.9


class Contrast(Term):
    """One space: ID samples, outliers, and the weight of their contrast."""

    def __init__(self, name: str, weight: float, settings: OutlierTerms, space: Space, classes: int) -> None:
        super().__init__()
        self.name, self.weight, self.settings = name, weight, settings
        self.other_classes = settings.negatives == "other-classes"
        chosen = space.other_classes() if self.other_classes else space
        order = chosen.outlier_labels.argsort(stable=True)
        counts = torch.bincount(chosen.outlier_labels, minlength=classes)
        if (counts == 0).any():
            raise SynthoodError(f"{name}: no outlier of class {int((counts == 0).nonzero()[0])}; widen the gate")
        for key, value in (
            ("id", space.id),
            ("id_labels", space.id_labels),
            ("outliers", chosen.outliers[order]),
            ("outlier_labels", chosen.outlier_labels[order]),
            ("counts", counts),
            ("firsts", counts.cumsum(0) - counts),
        ):
            self.register_buffer(key, value, persistent=False)

    def drawn(self, batch: Batch) -> Tensor:
        """Indices of as many outliers as there are samples, of any class."""
        outliers = self.get_buffer("outliers")
        count = len(batch.labels)
        return torch.randint(len(outliers), (count,), generator=batch.random).to(outliers.device, non_blocking=True)

    def drawn_alike(self, batch: Batch) -> Tensor:
        """Indices of outliers [N], each of its sample's class (of another for the control)."""
        counts, firsts, labels = self.get_buffer("counts"), self.get_buffer("firsts"), batch.labels
        if self.other_classes:
            shift = torch.randint(1, len(counts), (len(labels),), generator=batch.random).to(labels.device)
            labels = (labels + shift) % len(counts)
        share = torch.rand(len(labels), generator=batch.random).to(labels.device, non_blocking=True)
        return firsts[labels] + (share * counts[labels]).long().clamp(max=counts[labels] - 1)

    def contrast(self, batch: Batch, queries: Tensor, prototypes: Tensor, outliers: Tensor, chosen: Tensor) -> Tensor:
        """InfoNCE of queries [N,E]: their class's prototype of [C,E] against the others and outliers [M,E]."""
        others = mutual_information.cosines(queries, prototypes) / self.settings.temperature
        positive = others.gather(1, batch.labels[:, None]).squeeze(1)
        own = F.one_hot(batch.labels, others.shape[1]).bool()
        against = mutual_information.cosines(queries, outliers) / self.settings.temperature
        if self.other_classes:
            same = self.get_buffer("outlier_labels")[chosen][None] == batch.labels[:, None]
            against = against.masked_fill(same, -torch.inf)
        return mutual_information.infonce(positive, torch.cat([others.masked_fill(own, -torch.inf), against], 1))


class TokenContrast(Contrast):
    """Against boundary embeddings, in the space of the class words: q = P(h), prototypes are the class means."""

    def __init__(self, settings: OutlierTerms, space: Space, classes: int, features: int) -> None:
        super().__init__("boundary", settings.boundary_weight, settings, space, classes)
        self.projection = nn.Linear(features, space.id.shape[1])
        onehot = F.one_hot(space.id_labels, classes).float()
        self.register_buffer("prototypes", F.normalize(onehot.T @ F.normalize(space.id)), persistent=False)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        real = batch.rows < len(self.get_buffer("id"))
        # The head follows the student; the student learns from the contrast alone, so that `kd` is its control.
        known = self.get_buffer("id")[batch.rows[real]]
        alignment = cosine_distance(self.projection(batch.features[real].detach()), known)
        chosen = self.drawn(batch)
        outliers = self.get_buffer("outliers")[chosen]
        loss = self.contrast(batch, self.projection(batch.features), self.get_buffer("prototypes"), outliers, chosen)
        return {"boundary_alignment": alignment, "boundary_contrast": self.weight * loss}


class LatentContrast(Contrast):
    """Against outlier latents, in the student's feature space: q = h, latents through an adapter."""

    def __init__(self, settings: OutlierTerms, space: Space, classes: int, features: int) -> None:
        super().__init__("latent", settings.latent_weight, settings, space, classes)
        self.adapter = heads.LatentAdapter(space.id.shape[1], features)
        self.register_buffer("prototypes", torch.zeros(classes, features))
        if settings.energy_weight:
            self.log_weights = nn.Parameter(torch.zeros(classes))
            self.logistic = heads.EnergyLogOdds()

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        real = batch.rows < len(self.get_buffer("id"))
        adapted = self.adapter(self.get_buffer("id")[batch.rows[real]])
        logits = F.linear(adapted, batch.head.weight.detach(), batch.head.bias.detach())
        alignment = cosine_distance(adapted, batch.features[real]) + F.cross_entropy(logits, batch.labels[real])
        self.follow(F.normalize(adapted.detach()), batch.labels[real])
        chosen = self.drawn(batch)
        with torch.no_grad():
            outliers = self.adapter(self.get_buffer("outliers")[chosen])
        loss = self.contrast(batch, batch.features, self.get_buffer("prototypes"), outliers, chosen)
        losses = {"latent_alignment": alignment, "latent_contrast": self.weight * loss}
        if self.settings.energy_weight:
            losses["latent_energy"] = self.settings.energy_weight * self.energy(batch, outliers)
        return losses

    def energy(self, batch: Batch, outliers: Tensor) -> Tensor:
        """VOS's logistic loss of energies, of the batch against adapted latents [M,D] through the last layer.

        Gradients reach the network and its last layer, not the adapter.
        """
        logits = F.linear(outliers, batch.head.weight, batch.head.bias)
        scale, offset = self.logistic.weight[0, 0], self.logistic.bias[0]
        return uncertainty(batch.logits, logits, self.log_weights, scale, offset)

    def follow(self, adapted: Tensor, labels: Tensor) -> None:
        """Moves the prototypes of the classes seen towards their means; only their direction counts."""
        prototypes = self.get_buffer("prototypes")
        onehot = F.one_hot(labels, len(prototypes)).float()
        means = onehot.T @ adapted / onehot.sum(0).clamp(min=1)[:, None]
        moved = prototypes.lerp(means, 1 - PROTOTYPE_MOMENTUM)
        prototypes.copy_(torch.where(onehot.any(0)[:, None], moved, prototypes))


class ClubContrast(Contrast):
    """CLUB's upper bound on the information between outliers and features, minimised.

    `club`: q(h|o) is fitted by likelihood to pairs of the same class, and held while the bound goes down in h.
    `club-released`: pairs are drawn independently and q descends the bound itself, so the mean of the bound is zero.
    """

    def __init__(
        self, name: str, weight: float, settings: OutlierTerms, space: Space, classes: int, features: int
    ) -> None:
        super().__init__(name, weight, settings, space, classes)
        self.conditional = mutual_information.ConditionalGaussian(self.given(space.outliers[:1]).shape[1], features)

    def given(self, outliers: Tensor) -> Tensor:
        """Outliers as vectors [N,E]; the papers' code averages latents over channels and rows."""
        averaged = self.settings.latent_form == "row-mean" and outliers.ndim == 4
        return outliers.mean((1, 2)) if averaged else outliers.flatten(1)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        released = self.settings.estimator == "club-released"
        chosen = self.drawn(batch) if released else self.drawn_alike(batch)
        given = self.given(self.get_buffer("outliers")[chosen])
        if released:
            return {
                f"{self.name}_contrast": self.weight * mutual_information.club(self.conditional(given, batch.features))
            }
        likelihood = self.conditional(given, batch.features.detach()).diagonal().mean()
        bound = mutual_information.club(self.conditional.with_own_parameters_held(given, batch.features))
        return {f"{self.name}_likelihood": -likelihood, f"{self.name}_contrast": self.weight * bound}


def contrasts(settings: OutlierTerms, outliers: OutlierSet, classes: int, features: int) -> list[Contrast]:
    """The terms of a recipe; a weight of zero leaves its term out."""
    terms: list[Contrast] = []
    token, latent = outliers.token, outliers.latent
    if settings.estimator == "infonce":
        if settings.boundary_weight:
            terms.append(TokenContrast(settings, token, classes, features))
        if settings.latent_weight:
            terms.append(LatentContrast(settings, latent, classes, features))
        return terms
    for name, weight, space in (
        ("boundary", settings.boundary_weight, token),
        ("latent", settings.latent_weight, latent),
    ):
        if weight:
            terms.append(ClubContrast(name, weight, settings, space, classes, features))
    return terms
