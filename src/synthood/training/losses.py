"""The terms of a classifier's loss."""

import torch.nn.functional as F
from torch import Tensor


def cross_entropy(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """Mean cross-entropy of logits [N,C] and labels int64 [N] or shares of classes float32 [N,C]."""
    return F.cross_entropy(logits.float(), targets, label_smoothing=smoothing)


def logit_distillation(logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """T^2 KL(p_teacher || p_student) at temperature T, mean over samples (arXiv 1503.02531, section 2)."""
    student = F.log_softmax(logits.float() / temperature, 1)
    teacher = F.log_softmax(teacher_logits.detach().float() / temperature, 1)
    return temperature**2 * F.kl_div(student, teacher, reduction="batchmean", log_target=True)


def cosine_distance(found: Tensor, target: Tensor) -> Tensor:
    """Mean of 1 - cos of vectors [N,D]; the target is held."""
    return (1 - F.cosine_similarity(found, target.detach(), dim=1)).mean()
