"""RankFeat: the energy that is left when the largest singular value of a map is taken out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from synthood.common.lazy import Tensor, torch
from synthood.evaluation.detectors.of_model.base import ModelMethod, OfMaps
from synthood.evaluation.hyperparameters import GRID, Values
from synthood.evaluation.probe import BatchView


class RankFeatMethod(ModelMethod):
    """lse of the logits of X - s_1 u_1 v_1^T, X a stage's last map [c, h w] (arXiv 2209.08590, equations 1 to 3).

    Of the last stage, of the one before it, or of both, logits averaged. By an eigenvector of X X^T or X^T X, the
    smaller of them, and never by power iteration.
    """

    pass_params = ("stages",)

    def statistic(self, batch: BatchView, values: Values) -> Tensor:
        run = batch.mapped
        ends = self.probe.stages(run.maps)
        chosen = {"last": ends[-1:], "last-but-one": ends[-2:-1], "both": ends[-2:]}[values["stages"]]
        each = [self.probe.with_map(batch.inputs, index, without_largest(run.maps[index])) for index in chosen]
        return torch.stack(each).mean(0).logsumexp(1).float().cpu()


def without_largest(maps: Tensor) -> Tensor:
    """Maps [N,c,h,w] without their largest singular value."""
    flat = maps.flatten(2).double()
    rows, columns = flat.shape[1:]
    if rows <= columns:
        axis = torch.linalg.eigh(flat @ flat.mT).eigenvectors[:, :, -1:]
        left = flat - axis @ (axis.mT @ flat)
    else:
        axis = torch.linalg.eigh(flat.mT @ flat).eigenvectors[:, :, -1:]
        left = flat - (flat @ axis) @ axis.mT
    return left.to(maps.dtype).view_as(maps)


class RankFeat(OfMaps):
    """Energy after the largest singular value of a map is taken out."""

    kind: Literal["rankfeat"] = "rankfeat"
    stages: Annotated[
        Literal["last", "last-but-one", "both"], GRID, Field(description="both: logits averaged, as in the paper")
    ] = "both"

    paper = "arXiv 2209.08590"
    compared = "equal with stages: last"
    method = RankFeatMethod
