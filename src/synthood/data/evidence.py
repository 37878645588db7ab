"""What the OOD sets of a dataset are evidence of: real images, classes held out, or images that were computed."""

from synthood.data.overlap_settings import AllowedOverlap
from synthood.data.settings import DatasetSettings


def evidence(dataset: DatasetSettings) -> str:
    """A sentence about near and far sets, one about what hyperparameters are chosen on, one about allowed overlaps."""
    roles = [
        f"{role} {'; '.join(f'{name} ({source.nature})' for name, source in sets.items())}"
        for role, sets in (("near", dataset.near), ("far", dataset.far))
        if sets
    ]
    told = f"OOD sets: {', '.join(roles)}. Hyperparameters are chosen on: {dataset.ood_validation.nature}."
    shared = [f"{' and '.join(allowed.parts)} {limit(allowed)}" for allowed in dataset.allow_overlap]
    return told + f" May share images: {'; '.join(shared)}." * bool(shared)


def limit(allowed: AllowedOverlap) -> str:
    """How many images two parts may share, in brackets."""
    return "(any number)" if allowed.images is None else f"(at most {allowed.images})"
