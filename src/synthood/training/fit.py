"""The training loop of a classifier."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from synthood.common.arithmetic import resolved_precision
from synthood.common.images import ImageSet
from synthood.common.iterate import Iteration, ResumeFile, Stateful
from synthood.common.seeds import derived_seed, generator
from synthood.errors import SynthoodError
from synthood.training.augment import augmented
from synthood.training.batches import Composition, sample_weights
from synthood.training.forward import companions, forward
from synthood.training.heads import Batch, Term
from synthood.training.losses import cross_entropy
from synthood.training.method_settings import CutMix, Mixup
from synthood.training.mixing import mixed
from synthood.training.model import Classifier, channel_statistics, logits_and_features
from synthood.training.normalisation import compared
from synthood.training.outlier_set import OutlierSet
from synthood.training.pixel_augmentation import PixelAugmentation
from synthood.training.pretrained import initial
from synthood.training.settings import RecipeSettings, TrainSettings
from synthood.training.stability import WayBack, WeightAverage, finite, optimizer_of, set_rate
from synthood.training.terms import exposure_of, terms_of

History = list[dict[str, float]]


def learning_rate(recipe: RecipeSettings, step: int, total: int) -> float:
    """Per-step schedule: linear rise over the warm-up share, then cosines down to the final rate (arXiv 1608.03983)."""
    warmup = round(recipe.warmup * total)
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    progress = (step - warmup) * (recipe.restarts + 1) / max(total - warmup, 1) % 1
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
    outliers: OutlierSet | None = None,
    exposed: np.ndarray | None = None,
) -> tuple[Classifier, nn.ModuleDict, History]:
    """Trains one classifier; gives it, the terms with what they learned beside it, and a row per epoch.

    `exposed` are outlier images uint8 [M,H,W,3] that a recipe's `exposure` shows to the network.
    Raises SynthoodError where labels, classes or shapes do not fit, or a loss is not finite.
    """
    recipe = settings.recipe
    check_inputs(recipe, real, validation, synthetic, warm_start, teacher_model, outliers, exposed)
    mean, deviation = channel_statistics(real.images)
    network = initial(recipe.network, len(real.classes), derived_seed(seed, "network")).to(device)
    classifier = Classifier(recipe.network.architecture, real.classes, mean, deviation, network)
    if warm_start is not None:
        load_weights(classifier, warm_start)
    height, width = real.images.shape[1:3]
    on_pixels = PixelAugmentation(recipe.augmentation, height, width, seed, device)

    def prepared(images: Tensor, random: torch.Generator) -> Tensor:
        return augmented(classifier.normalised(on_pixels(images, random)), recipe.augmentation, random)

    exposure = None
    if recipe.exposure and exposed is not None:
        sizes = network.head.in_features, len(real.classes)
        exposure = exposure_of(recipe.exposure, exposed, prepared, *sizes, recipe.label_smoothing)
    terms = terms_of(recipe, classifier, teacher_model, outliers, seed, exposure).to(device)
    own_terms = [term for term in terms.values() if isinstance(term, Term)]

    images, labels = pooled(real, synthetic if recipe.real_per_batch < recipe.batch_size else None, device)
    composition = Composition(len(real), len(images) - len(real), recipe.batch_size, recipe.real_per_batch, seed)
    optimizer = optimizer_of(
        network,
        recipe.optimizer,
        recipe.learning_rate,
        recipe.momentum,
        recipe.weight_decay,
        recipe.last_layer_learning_rate,
    )
    state: dict[str, Stateful] = {"network": network, "optimizer": optimizer}
    optimizers: list[torch.optim.Optimizer] = [optimizer]
    if terms.state_dict():
        state["terms"] = terms
    if parameters := list(terms.parameters()):
        optimizers.append(torch.optim.Adam(parameters, recipe.head_learning_rate))
        state["head_optimizer"] = optimizers[1]
    average = WeightAverage(network, recipe.weight_average) if recipe.weight_average else None
    if average is not None:
        state["average"] = average
    way_back = WayBack(state) if recipe.on_nan == "rollback" else None
    if way_back is not None:
        state["way_back"] = way_back
    found = classifier if average is None else replace(classifier, network=average.average)
    per_epoch = composition.steps_per_epoch
    total = recipe.epochs * per_epoch
    dtype = resolved_precision(recipe.precision or settings.precision, device)

    def learned(step: int, chosen: Tensor, rate: float) -> tuple[dict[str, float], float]:
        """One step on the chosen rows: the losses by name, and the batch's accuracy."""
        set_rate(optimizer, rate)
        inputs = prepared(images[chosen], generator(seed, "augmentation", step))
        targets = labels[chosen]
        if isinstance(recipe.mixing, CutMix | Mixup):
            partners = generator(seed, "partners", step)
            inputs, targets = mixed(inputs, targets, len(real.classes), recipe.mixing, partners)
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        network.train()
        terms.train()
        beside = companions(terms, inputs, labels[chosen], generator(seed, "companions", step))
        dropping = generator(seed, "dropout", step)
        features, logits, beside = forward(network, inputs, beside, recipe, dtype, dropping)
        weights = sample_weights(chosen < len(real), recipe.effective_alpha) if recipe.weighted else None
        batch = Batch(
            inputs,
            labels[chosen],
            chosen,
            logits.float(),
            features.float(),
            network.head,
            generator(seed, "terms", step),
            dtype,
            beside,
            weights,
            step / total,
        )
        seen = compared(batch.logits, recipe.normalisation)
        for term in own_terms:
            seen = term.compared(seen, batch)
        losses = {"cross_entropy": cross_entropy(seen, targets, recipe.label_smoothing, weights)}
        for term in own_terms:
            losses |= term(batch)
        loss = torch.stack(list(losses.values())).sum()
        for each in optimizers:
            each.zero_grad()
        loss.backward()
        for each in optimizers:
            each.step()
        for term in own_terms:
            term.settle(network.head)
        values = {"loss": float(loss.detach())} | {name: float(value.detach()) for name, value in losses.items()}
        return values, float((logits.argmax(1) == labels[chosen]).float().mean())

    loop = Iteration("training", total, resume, state)
    batches: list[Tensor] = []
    for step in loop:
        epoch, position = divmod(step, per_epoch)
        batches = composition.epoch(epoch) if position == 0 or not batches else batches
        if way_back is not None and position == 0:
            way_back.keep()
        chosen = batches[position].to(device)
        rate = learning_rate(recipe, step, total) * (way_back.factor if way_back else 1.0)
        values, share = learned(step, chosen, rate)
        if way_back is not None and not way_back.taken and not finite(values):
            print(f"training: a loss is not finite at step {step}; on from epoch {epoch}'s start at half the rate")
            way_back.take()
            rate *= way_back.factor
            values, share = learned(step, chosen, rate)
        loop.check(step, rate, epoch=epoch, **values)
        if average is not None:
            average.update(step)
            for term in own_terms:
                term.settle(average.average.head)
        row = {"epoch": epoch, "learning_rate": rate, **values, "accuracy": share}
        if position == per_epoch - 1:
            row["val_accuracy"] = accuracy(found, validation)
        loop.history.append(row)
    found.network.eval()
    return found, terms.eval(), per_epoch_history(loop.history)


def per_epoch_history(steps: History) -> History:
    """One row per epoch: means over its steps, the last learning rate, validation accuracy."""
    rows: History = []
    for epoch in dict.fromkeys(row["epoch"] for row in steps):
        own = [row for row in steps if row["epoch"] == epoch]
        averaged = [key for key in own[0] if key not in ("epoch", "learning_rate", "val_accuracy")]
        means = {key: sum(row[key] for row in own) / len(own) for key in averaged}
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
    outliers: OutlierSet | None,
    exposed: np.ndarray | None = None,
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
    for what, named, given in (
        ("a teacher", recipe.teacher, teacher),
        ("a warm start", recipe.warm_start, warm_start),
        ("outliers", recipe.outliers, outliers),
        ("outlier images", recipe.exposure, exposed),
    ):
        if named is not None and given is None:
            raise SynthoodError(f"the recipe names {what}, and none is given")
    if recipe.rotation and real.images.shape[1] != real.images.shape[2]:
        raise SynthoodError(
            f"images of {real.images.shape[1]} x {real.images.shape[2]} pixels cannot be turned by 90 degrees; "
            f"take `rotation` out of the recipe"
        )
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


def accuracy(classifier: Classifier, images: ImageSet) -> float:
    """Share of images whose largest logit is their label's."""
    device = next(classifier.network.parameters()).device
    logits, _ = logits_and_features(classifier, images.images, device)
    return float((logits.argmax(1).numpy() == images.labels).mean())
