"""RankFeat: the energy that is left when the largest singular value of a map is taken out."""

import torch
from torch import Tensor

from synthood.evaluation.access.method import ModelMethod
from synthood.evaluation.access.view import Look
from synthood.evaluation.hyperparameters import Values


class RankFeat(ModelMethod):
    """lse of the logits of X - s_1 u_1 v_1^T, X a stage's last map [c, h w] (arXiv 2209.08590, equations 1 to 3).

    Of the last stage, of the one before it, or of both, logits averaged. By an eigenvector of X X^T or X^T X, the
    smaller of them, and never by power iteration.
    """

    passed = ("stages",)

    def evidence(self, look: Look, values: Values) -> Tensor:
        run = look.mapped
        ends = self.view.stages(run.maps)
        chosen = {"last": ends[-1:], "last-but-one": ends[-2:-1], "both": ends[-2:]}[values["stages"]]
        each = [self.view.with_map(look.inputs, index, without_largest(run.maps[index])) for index in chosen]
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
