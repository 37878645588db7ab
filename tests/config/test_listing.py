"""`synthood list FAMILY`."""

import pytest

from synthood.config.benchmarks import benchmark_names
from synthood.config.listing import FAMILIES, listing
from synthood.reporting.settings import METRICS


def names(family):
    return [line.split("  ")[0] for line in listing(family).splitlines()]


@pytest.mark.parametrize("family", FAMILIES)
def test_each_member_is_listed_once_with_a_meaning(family):
    rows = [line.split(maxsplit=1) for line in listing(family).splitlines()]
    assert all(len(row) == 2 for row in rows)
    assert len({name for name, _ in rows}) == len(rows)


def test_members_are_those_of_the_models():
    assert names("metrics") == list(METRICS)
    assert names("benchmarks") == benchmark_names()
    assert names("generators") == ["biggan", "custom", "ready-made", "stable-diffusion"]
    assert names("samplers") == ["miniature", "fast", "few-step", "paper"]
    assert names("encoders") == ["text-aligned", "clip", "recipe", "timm"]
    assert names("outliers") == ["bood-latent", "bood-pixel", "custom", "guided", "inverted", "latent", "pixel"]
    assert {"resnet8", "densenet-bc-100", "torchvision/NAME", "timm/NAME"} <= set(names("networks"))
    assert {"msp", "knn", "cider", "gram", "ensemble", "custom"} <= set(names("detectors"))
    assert {"id.folders", "id.cifar10", "near.textures", "near.held-out-classes"} <= set(names("sources"))
    assert {"randaugment", "shift", "cutout"} <= set(names("augmentations"))


def test_losses_are_the_sections_that_change_a_recipes_loss():
    found = names("losses")
    assert {"mixing.cutmix", "exposure.uniform", "contrastive.npos", "rotation", "teacher", "virtual_outliers"} <= set(
        found
    )
    assert not {"network", "synthetic", "augmentation"} & {name.split(".")[0] for name in found}


def test_a_line_is_the_first_paragraph_of_the_class():
    assert "fast       DPM-Solver++ of second order (arXiv 2211.01095); what a pretrained" in listing("samplers")
    assert "auroc               Probability that an ID image scores above an OOD image.\n" in listing("metrics")
