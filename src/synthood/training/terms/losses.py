"""The terms of a classifier's loss."""

from __future__ import annotations

from synthood.common.lazy import F, Tensor


def mean(values: Tensor, weights: Tensor | None) -> Tensor:
    """Mean of one value per sample [N]; the sum by weights [N] where they are given."""
    return values.mean() if weights is None else (weights * values).sum()


def cross_entropy(logits: Tensor, targets: Tensor, smoothing: float, weights: Tensor | None = None) -> Tensor:
    """Mean cross-entropy of logits [N,C] and labels int64 [N] or shares of classes float32 [N,C]."""
    if weights is None:
        return F.cross_entropy(logits.float(), targets, label_smoothing=smoothing)
    return mean(F.cross_entropy(logits.float(), targets, reduction="none", label_smoothing=smoothing), weights)


def logit_distillation(
    logits: Tensor, teacher_logits: Tensor, temperature: float, weights: Tensor | None = None
) -> Tensor:
    """T^2 KL(p_teacher || p_student) at temperature T, mean over samples (arXiv 1503.02531, section 2)."""
    student = F.log_softmax(logits.float() / temperature, 1)
    teacher = F.log_softmax(teacher_logits.detach().float() / temperature, 1)
    if weights is None:
        return temperature**2 * F.kl_div(student, teacher, reduction="batchmean", log_target=True)
    return temperature**2 * mean(F.kl_div(student, teacher, reduction="none", log_target=True).sum(1), weights)


def cosine_distance(found: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean of 1 - cos of vectors [N,D]; the target is held."""
    return mean(1 - F.cosine_similarity(found, target.detach(), dim=1), weights)
