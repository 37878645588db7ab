"""G-ODIN's score with the paper's step of the image, which `godin` leaves out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field

from synthood.common.lazy import Tensor, lazy, torch
from synthood.evaluation.detectors.base import Grids
from synthood.evaluation.detectors.of_model.base import ModelMethod, Noise, OfGradients
from synthood.evaluation.detectors.of_model.odin import likeliest
from synthood.evaluation.hyperparameters import Values
from synthood.evaluation.probe import BatchView, ForwardRun

if TYPE_CHECKING:
    from synthood.training.methods import godin
else:
    godin = lazy("synthood.training.methods.godin")


class PerturbedGodinMethod(ModelMethod):
    """max_i h_i(x~) or max softmax(h(x~)), x~ = x + eps sign(grad max_i h_i(x)) (arXiv 2002.11297, section 3.2).

    eps is in units of pixels in [0,1]. A gradient of zero moves nothing, where OpenOOD moves by eps.
    """

    pass_params = ("noise", "score", "similarity")

    def statistic(self, batch: BatchView, values: Values) -> Tensor:
        form = values["similarity"]

        def numerators(run: ForwardRun) -> Tensor:
            return godin.of_logits(run.logits, run.features, form)

        gradient = batch.gradient(batch.attached, ("godin", form), lambda run: numerators(run).amax(1))
        with torch.no_grad():
            moved = self.probe.run(batch.inputs + values["noise"] * gradient.sign() / self.probe.deviation)
            found = numerators(moved)
        return likeliest(found, 1.0) if values["score"] == "softmax" else found.amax(1).float().cpu()


class PerturbedGodin(OfGradients):
    """G-ODIN's largest logit after a step of the image that raises it."""

    kind: Literal["godin-perturbed"] = "godin-perturbed"
    noise: Noise = 0.0025
    score: Annotated[
        Literal["h", "softmax"],
        Field(description="h: the largest logit, as in the paper; softmax: its softmax, as in OpenOOD"),
    ] = "h"
    similarity: Annotated[
        Literal["inner", "euclid", "cosine"], Field(description="of the logits; the recipe's own is filled in")
    ] = "cosine"

    paper = "arXiv 2002.11297"
    reads = "godin"
    grid: ClassVar[Grids] = {"noise": [0.0025, 0.005, 0.01, 0.02, 0.04, 0.08]}
    method = PerturbedGodinMethod

    def of_recipe(self, recipe: object) -> Self:
        """With the similarity that the recipe trains."""
        trained = getattr(getattr(recipe, "normalisation", None), "similarity", None)
        return self if trained in (None, self.similarity) else self.model_copy(update={"similarity": trained})
