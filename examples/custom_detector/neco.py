"""NECO (arXiv 2310.06823): how much of a feature lies in the principal space of the training features."""

import torch

from synthood.evaluation.hyperparameters import OutOfRangeError


def fit(reference, dimension=16):
    """||P h|| / ||h|| times the maximum logit; P: the first principal components of the training features."""
    features = reference.train.features
    if dimension > features.shape[1]:
        raise OutOfRangeError(f"neco: dimension {dimension} is larger than the features' {features.shape[1]}")
    _, vectors = torch.linalg.eigh(torch.cov(features.T))
    principal = vectors[:, -dimension:]

    def score(x):
        share = (x.features @ principal).norm(dim=1) / x.features.norm(dim=1).clamp(min=1e-12)
        return share * x.logits.amax(1)

    return score
