"""The training loop of a classifier."""

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from synthood.common.arithmetic import autocast, resolved_precision
from synthood.common.images import ImageSet
from synthood.common.iterate import Iteration, ResumeFile
from synthood.common.seeds import derived_seed, generator
from synthood.errors import SynthoodError
from synthood.training.augment import augmented
from synthood.training.batches import Composition
from synthood.training.losses import cross_entropy, logit_distillation
from synthood.training.model import Classifier, channel_statistics, logits_and_features
from synthood.training.networks import build
from synthood.training.settings import RecipeSettings, TrainSettings

History = list[dict[str, float]]


def learning_rate(recipe: RecipeSettings, step: int, total: int) -> float:
    """Per-step schedule: linear rise over the warm-up share, then a cosine down to the final rate."""
    warmup = round(recipe.warmup * total)
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(total - warmup, 1)
    height = recipe.learning_rate - recipe.final_learning_rate
    return recipe.final_learning_rate + height * 0.5 * (1 + math.cos(math.pi * progress))


def train(
    settings: TrainSettings,
    seed: int,
    real: ImageSet,
    validation: ImageSet,
    synthetic: ImageSet | None,
    device: torch.device,
    resume: ResumeFile,
    warm_start: Path | None = None,
    teacher_model: Path | None = None,
) -> tuple[Classifier, History]:
    """Trains one classifier; the history has a row per epoch.

    Raises SynthoodError where labels, classes or shapes do not fit, or a loss is not finite.
    """
    recipe = settings.recipe
    check_inputs(recipe, real, validation, synthetic, warm_start, teacher_model)
    mean, deviation = channel_statistics(real.images)
    network = build(recipe.network, len(real.classes), derived_seed(seed, "network")).to(device)
    classifier = Classifier(recipe.network, real.classes, mean, deviation, network)
    if warm_start is not None:
        load_weights(classifier, warm_start)
    teacher = None if teacher_model is None else load_teacher(teacher_model, classifier, device)

    images, labels = pooled(real, synthetic if recipe.real_per_batch < recipe.batch_size else None, device)
    composition = Composition(len(real), len(images) - len(real), recipe.batch_size, recipe.real_per_batch, seed)
    optimizer = torch.optim.SGD(
        network.parameters(),
        recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.momentum > 0,
        weight_decay=recipe.weight_decay,
    )
    per_epoch = composition.steps_per_epoch
    total = recipe.epochs * per_epoch
    dtype = resolved_precision(recipe.precision or settings.precision, device)
    loop = Iteration("training", total, resume, {"network": network, "optimizer": optimizer})
    batches: list[Tensor] = []
    for step in loop:
        epoch, position = divmod(step, per_epoch)
        batches = composition.epoch(epoch) if position == 0 or not batches else batches
        optimizer.param_groups[0]["lr"] = rate = learning_rate(recipe, step, total)
        chosen = batches[position].to(device)
        random = generator(seed, "augmentation", step)
        inputs = augmented(classifier.normalised(images[chosen]), recipe.augmentation, random)
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        network.train()
        with autocast(dtype, device):
            logits = network(inputs)
            loss = cross_entropy(logits, labels[chosen], recipe.label_smoothing)
            if teacher is not None and recipe.teacher is not None:
                with torch.no_grad():
                    target = teacher.network(inputs)
                loss = loss + recipe.teacher.weight * logit_distillation(logits, target, recipe.teacher.temperature)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loop.check(step, rate, epoch=epoch, loss=float(loss.detach()))
        row = {"epoch": epoch, "learning_rate": rate, "loss": float(loss.detach())}
        row["accuracy"] = float((logits.argmax(1) == labels[chosen]).float().mean())
        if position == per_epoch - 1:
            row["val_accuracy"] = accuracy(classifier, validation)
        loop.history.append(row)
    network.eval()
    return classifier, per_epoch_history(loop.history)


def per_epoch_history(steps: History) -> History:
    """One row per epoch: means over its steps, the last learning rate, validation accuracy."""
    rows: History = []
    for epoch in dict.fromkeys(row["epoch"] for row in steps):
        own = [row for row in steps if row["epoch"] == epoch]
        means = {key: sum(row[key] for row in own) / len(own) for key in ("loss", "accuracy")}
        last = {key: own[-1][key] for key in ("learning_rate", "val_accuracy")}
        rows.append({"epoch": epoch, **means, **last})
    return rows


def check_inputs(
    recipe: RecipeSettings,
    real: ImageSet,
    validation: ImageSet,
    synthetic: ImageSet | None,
    warm_start: Path | None,
    teacher: Path | None,
) -> None:
    """Raises where the sets cannot be trained on together, or a model that the recipe names is not given."""
    if recipe.batch_size > len(real):
        raise SynthoodError(f"batch_size {recipe.batch_size} is larger than the {len(real)} training images")
    for name, other in (("validation", validation), ("synthetic", synthetic)):
        if other is None:
            continue
        if other.classes != real.classes:
            raise SynthoodError(f"the {name} images have classes {other.classes}, the training images {real.classes}")
        if other.images.shape[1:] != real.images.shape[1:]:
            raise SynthoodError(
                f"the {name} images are {other.images.shape[1:]}, the training images {real.images.shape[1:]}"
            )
    for what, named, given in (("teacher", recipe.teacher, teacher), ("warm start", recipe.warm_start, warm_start)):
        if named is not None and given is None:
            raise SynthoodError(f"the recipe names a {what}, and no model is given")
    if recipe.real_per_batch < recipe.batch_size and synthetic is None:
        raise SynthoodError(f"alpha {recipe.effective_alpha:.3g} asks for synthetic images, and none are given")


def pooled(real: ImageSet, synthetic: ImageSet | None, device: torch.device) -> tuple[Tensor, Tensor]:
    """All images uint8 and labels on the device, the real ones first."""
    sets = [real] if synthetic is None else [real, synthetic]
    images = torch.from_numpy(np.concatenate([s.images for s in sets])).to(device)
    return images, torch.from_numpy(np.concatenate([s.labels for s in sets])).to(device)


def load_weights(classifier: Classifier, path: Path) -> None:
    """A warm start: the weights of a model with the same network and classes."""
    other = Classifier.load(path)
    if (other.settings, other.classes) != (classifier.settings, classifier.classes):
        raise SynthoodError(
            f"{path}: a warm start needs the same network and classes, but it has {other.settings} and "
            f"{len(other.classes)} classes, the recipe {classifier.settings} and {len(classifier.classes)}"
        )
    classifier.network.load_state_dict(other.network.state_dict())


def load_teacher(path: Path, student: Classifier, device: torch.device) -> Classifier:
    """A frozen teacher that sees the student's inputs as they are."""
    teacher = Classifier.load(path)
    if teacher.classes != student.classes or (teacher.mean, teacher.deviation) != (student.mean, student.deviation):
        raise SynthoodError(f"{path}: a teacher must have the student's classes and normalisation")
    teacher.network.to(device).requires_grad_(False)
    return teacher


def accuracy(classifier: Classifier, images: ImageSet) -> float:
    """Share of images whose largest logit is their label's."""
    device = next(classifier.network.parameters()).device
    logits, _ = logits_and_features(classifier, images.images, device)
    return float((logits.argmax(1).numpy() == images.labels).mean())
