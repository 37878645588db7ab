"""Several models as one: the mean of their softmax."""

import math
from collections.abc import Sequence
from pathlib import Path

import torch

from synthood.errors import SynthoodError
from synthood.evaluation.features import Features


def combined(members: Sequence[Features], where: Sequence[Path | str]) -> Features:
    """Log of the mean softmax as logits and features [N,C] (arXiv 1612.01474).

    Raises where the models have not seen the same samples.
    """
    for place, member in zip(where, members, strict=True):
        if member.logits.shape != members[0].logits.shape or not member.labels.equal(members[0].labels):
            raise SynthoodError(f"{place} is not of the samples and classes of the other models")
    each = torch.stack([member.logits.double().log_softmax(1) for member in members])
    log = (each.logsumexp(0) - math.log(len(members))).float()
    return Features(log, log, members[0].labels)
