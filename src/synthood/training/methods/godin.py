"""G-ODIN: logits divided by a confidence that is learned along, without outliers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from synthood.common.lazy import F, Tensor, nn, torch
from synthood.training.methods.normalisation import Normalisation
from synthood.training.methods.term import Batch, Context, ForwardOutputs, Term


class Godin(Normalisation):
    """Logits divided by a learned confidence."""

    paper = "G-ODIN, arXiv 2002.11297"
    head = "godin"
    of_directions = True

    kind: Literal["godin"] = "godin"
    similarity: Annotated[
        Literal["inner", "euclid", "cosine"], Field(description="of the logits: products, distances or cosines")
    ] = "cosine"

    def check_recipe(self, recipe: Any) -> None:
        if recipe.dropout:
            raise ValueError("dropout acts on what the last layer sees, which godin divides as it is; take one of them")

    def terms(self, context: Context) -> dict[str, Term]:
        return {"godin": DividedConfidence(self, context.features)}


EPS = 1e-12


class DividedConfidence(Term):
    """G-ODIN (arXiv 2002.11297, section 3.1): cross-entropy sees h_i(x) / g(x), g = sigmoid(BN(w f + b)).

    h is `inner` w_i f + b_i, `euclid` -|f - w_i|^2 or `cosine` of f and w_i. The last layer is kept such that its own
    logits are h up to what all classes of an image share: h itself, h + |f|^2 with 2 w_i as its weights, or |f| h.
    """

    training_only_buffers = ("norm.num_batches_tracked",)

    def __init__(self, settings: Godin, features: int) -> None:
        super().__init__()
        self.settings = settings
        self.layer = nn.Linear(features, 1)
        self.norm = nn.BatchNorm1d(1)

    def adjust_logits(self, logits: Tensor, batch: Batch) -> Tensor:
        return numerators(batch.features, batch.head, self.settings.similarity) / self.confidence(batch.features)

    def readout(self, outputs: ForwardOutputs) -> Tensor:
        """The largest h and g, float32 [N,2]."""
        found = of_logits(outputs.logits, outputs.features, self.settings.similarity)
        return torch.cat([found.amax(1, keepdim=True), self.confidence(outputs.features)], 1)

    def confidence(self, features: Tensor) -> Tensor:
        """g [N,1] in (0,1); a batch of one is normalised by the running statistics."""
        raw, norm = self.layer(features), self.norm
        alone = self.training and len(raw) == 1
        if alone:
            raw = F.batch_norm(raw, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
        return torch.sigmoid(raw if alone else norm(raw))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return {}

    def after_step(self, head: nn.Linear) -> None:
        """Weights of length one and no bias under `cosine`; under `euclid` the bias -|w_i|^2."""
        with torch.no_grad():
            if self.settings.similarity == "cosine":
                head.weight.copy_(F.normalize(head.weight))
                head.bias.zero_()
            elif self.settings.similarity == "euclid":
                head.bias.copy_(-(head.weight / 2).square().sum(1))


def of_logits(logits: Tensor, features: Tensor, form: str) -> Tensor:
    """h [N,C] of the trained network's own logits [N,C] and features [N,D]."""
    length = features.norm(dim=1, keepdim=True)
    if form == "cosine":
        return logits / length.clamp(min=EPS)
    return logits - length**2 if form == "euclid" else logits


def numerators(features: Tensor, head: nn.Linear, form: str) -> Tensor:
    """h [N,C] of features [N,D]."""
    if form == "cosine":
        return F.linear(F.normalize(features), F.normalize(head.weight))
    if form == "euclid":
        return -(features[:, None] - head.weight / 2).square().sum(2)
    return F.linear(features, head.weight, head.bias)
