"""The training loop of a classifier."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from synthood.common.arithmetic import resolved_precision
from synthood.common.averages import MovingAverage
from synthood.common.iterate import Iteration, ResumeFile, Stateful
from synthood.common.precision import Precision
from synthood.common.ranks import SINGLE_PROCESS, Ranks, with_synced_statistics
from synthood.common.schedules import warmed_cosine
from synthood.common.seeds import derived_seed
from synthood.errors import SynthoodError
from synthood.training.batches import Composition, class_weights
from synthood.training.checks import check_inputs
from synthood.training.feed import JoinedSet, Labelled, feed
from synthood.training.forward import Compiled, ForwardPass
from synthood.training.methods.term import Context, Prepared, no_images
from synthood.training.networks.architectures.base import ImageNetwork
from synthood.training.networks.frozen import FeatureClassifier, FeatureSet, drawn_view
from synthood.training.networks.model import Classifier, logits_and_features
from synthood.training.networks.pretrained import initial, input_statistics
from synthood.training.outlier_set import OutlierSet
from synthood.training.record import History, Record, Row, losses
from synthood.training.settings import RecipeSettings, TrainSettings
from synthood.training.stability import Best, Rollback, beside_the_network, optimizer_of
from synthood.training.step import Step
from synthood.training.terms.build import terms_of

GRAPHS_PAY_FROM = 5000
"""Steps after which compiling has paid for itself."""
SHOWN = ("loss", "accuracy", "val_accuracy")


def learning_rate(recipe: RecipeSettings, step: int, total: int) -> float:
    """The rate of a step: linear rise over the warm-up share, then cosines down to the final rate."""
    rates = recipe.learning_rate, recipe.final_learning_rate
    return warmed_cosine(step, total, round(recipe.warmup * total), *rates, recipe.restarts)


def train(
    settings: TrainSettings,
    seed: int,
    real: Labelled,
    validation: Labelled,
    synthetic: Labelled | JoinedSet | None,
    device: torch.device,
    resume: ResumeFile,
    warm_start: Path | None = None,
    teacher_model: Path | None = None,
    outliers: OutlierSet | None = None,
    exposed: np.ndarray | None = None,
    *,
    threads: int = 1,
    memory: int | None = None,
    ranks: Ranks = SINGLE_PROCESS,
    on_epoch: Callable[[History], None] = lambda history: None,
) -> tuple[Classifier, nn.ModuleDict, History]:
    """Trains one classifier; gives it, the terms with what they learned, and a row per epoch.

    A recipe with a frozen backbone takes sets of its features in the place of images, and trains the head alone.
    `exposed` are outlier images uint8 [M,H,W,3] that a recipe's `exposure` shows to the network. Images that neither
    the device nor `memory` bytes hold are decoded by `threads` while it trains, to the same batches. `on_epoch` gets
    the history after each epoch.
    Raises SynthoodError where labels, classes or shapes do not fit, or a loss is not finite.
    """
    recipe = settings.recipe
    check_inputs(recipe, real, validation, synthetic, warm_start, teacher_model, outliers, exposed, ranks)
    small = not any(method.of_directions for method in recipe.methods)
    network = initial(recipe.network, len(real.classes), derived_seed(seed, "network"), small_head=small)
    if isinstance(real, FeatureSet):
        mean, deviation = real.mean, real.deviation
    else:
        mean, deviation = input_statistics(recipe.network, real.images, facts=getattr(real, "facts", None))
        recipe.network.check(network, *real.images.shape[1:3])
    classifier = whole = Classifier(recipe.network.architecture, real.classes, mean, deviation, network)
    if warm_start is not None:
        load_weights(classifier, warm_start)
    prepared: Prepared = drawn_view
    if isinstance(real, FeatureSet):
        classifier = FeatureClassifier.above(whole, real.backbone, warm_start or "network")
    else:
        height, width = real.images.shape[1:3]
        prepared = recipe.augmentation.prepared(classifier.normalised, height, width, seed, device)
    network = classifier.network = with_synced_statistics(classifier.network.to(device), ranks, device)
    recipe.network.freeze_weights(network)
    sizes = network.head.in_features, len(real.classes), recipe.label_smoothing
    shown = no_images() if exposed is None else exposed
    context = Context(*sizes, classifier, mean, deviation, teacher_model, outliers, shown, prepared)
    terms = terms_of(recipe.methods, context, seed).to(device)

    sets = [real] if synthetic is None or recipe.real_per_batch == recipe.batch_size else [real, synthetic]
    labels = torch.from_numpy(np.concatenate([each.labels for each in sets])).to(device)
    counts = len(real), len(labels) - len(real)
    balanced = labels.cpu() if recipe.sampling == "balanced" else None
    composition = Composition(*counts, recipe.batch_size, recipe.real_per_batch, seed, balanced)
    per_epoch = composition.steps_per_epoch
    total = recipe.epochs * per_epoch
    batches = lru_cache(2)(composition.epoch)

    def rows(step: int) -> Tensor:
        return batches(step // per_epoch)[step % per_epoch]

    images = feed([each.images for each in sets], rows, total, device, threads, memory, ranks)
    beside = beside_the_network(terms, recipe.head_learning_rate)
    optimizer = optimizer_of(
        network,
        recipe.optimizer,
        recipe.learning_rate,
        recipe.momentum,
        recipe.weight_decay,
        recipe.last_layer_learning_rate,
        recipe.nesterov,
        beside if recipe.head_optimizer == "sgd" else None,
    )
    optimizers: list[torch.optim.Optimizer] = [optimizer]
    if beside and recipe.head_optimizer == "adam":
        optimizers.append(torch.optim.Adam([{"params": own, "lr": rate} for rate, own in beside.items()]))
    dtype = resolved_precision(precision_of(settings), device)
    forward_pass = ForwardPass(network, features_of(network, recipe, device, ranks, total), dtype, ranks=ranks)
    weights = weights_of_classes(recipe, real.classes, labels.cpu().split(counts), device)
    take_step = Step(
        recipe, forward_pass, terms, optimizers, prepared, len(real.classes), len(real), seed, total, weights
    )

    state: dict[str, Stateful] = {"network": network, "optimizer": optimizer}
    if terms.state_dict():
        state["terms"] = terms
    if len(optimizers) > 1:
        state["head_optimizer"] = optimizers[1]
    average = MovingAverage(network, recipe.weight_average, buffers=False) if recipe.weight_average else None
    if average is not None:
        state["average"] = average
    rollback = Rollback(state) if recipe.on_nan == "rollback" else None
    if rollback is not None:
        state["rollback"] = rollback
    record = Record(device)
    state |= {"step": take_step, "record": record}
    trained = classifier if average is None else replace(classifier, network=average.network)
    best = Best({"network": trained.network, "terms": terms}) if recipe.keep == "best" else None
    if best is not None:
        state["best"] = best
    loop = Iteration("training", total, resume, state)

    def learn(step: int) -> None:
        rate = learning_rate(recipe, step, total) * (rollback.factor if rollback else 1.0)
        batch = rows(step)
        on_device = batch.to(device, non_blocking=True)
        figures = take_step(step, batch, images(step, on_device), labels[on_device], rate)
        micro_batches = {"micro_batches": float(forward_pass.micro_batches)} if forward_pass.micro_batches > 1 else {}
        record.add(step, {"epoch": step // per_epoch, "learning_rate": rate, **micro_batches}, figures)
        if average is not None:
            average.update(network, step)
            for term in take_step.own_terms:
                term.after_step(average.network.head)
            average.network.after_step()

    def check(last: int) -> None:
        """Looks at the losses up to the step `last`, and rolls back where one is not finite."""
        wrong = record.read()
        if wrong is not None and rollback is not None and not rollback.used:
            first, row = wrong
            loop.log(f"a loss is not finite at step {first}; on from epoch {row['epoch']}'s start at half the rate")
            rollback.restore()
            for step in range(first, last + 1):
                learn(step)
            wrong = record.read()
        step, row = wrong or (last, record.rows[-1])
        loop.check(step, row["learning_rate"], int(row["epoch"]), **losses(row))
        loop.figures |= {"accuracy": row["accuracy"]}

    for step in loop:
        epoch, position = divmod(step, per_epoch)
        if rollback is not None and position == 0:
            rollback.snapshot()
        learn(step)
        loop.checked = record.due() or position == per_epoch - 1
        if loop.checked:
            check(step)
        if position == per_epoch - 1:
            row = record.epoch(accuracy(trained, validation) if ranks.is_main else math.nan)
            loop.history.append(row)
            if best is not None:
                best.offer(epoch, row["val_accuracy"])
            on_epoch(loop.history)
            loop.log(f"end of epoch {epoch}: " + ", ".join(f"{key} {row[key]:.4g}" for key in SHOWN))
    if best is not None:
        best.restore()
    trained.network.eval()
    if isinstance(trained, FeatureClassifier):
        trained = trained.whole(whole)
    return trained, terms.eval(), loop.history


def kept_epoch(recipe: RecipeSettings, history: History) -> Row:
    """The row of the epoch whose weights are the model."""
    if recipe.keep == "last":
        return history[-1]
    return max(history, key=lambda row: (row["val_accuracy"], row["epoch"]))


def precision_of(settings: TrainSettings) -> Precision:
    """What the network computes in: a head alone takes no time, so its logits need not be rounded unless asked for."""
    recipe = settings.recipe
    return recipe.precision or ("float32" if recipe.network.frozen else settings.precision)


def weights_of_classes(
    recipe: RecipeSettings, classes: list[str], labels: Sequence[Tensor], device: torch.device
) -> Tensor | None:
    """A recipe's class weights float32 [2,C], for real and for synthetic samples, of their labels; None without any.

    Balanced ones are each kind's own, so that the weights of either kind have mean 1 and alpha keeps its meaning.
    """
    if recipe.class_weights == "none":
        return None
    return torch.stack([class_weights(each, classes, recipe.class_weights) for each in labels]).to(device)


def features_of(
    network: ImageNetwork, recipe: RecipeSettings, device: torch.device, ranks: Ranks, steps: int
) -> Callable[[Tensor], Tensor]:
    """The network's features, compiled where that pays: for so many steps on one GPU, and then as graphs.

    A network that draws at random is compiled on demand alone, since compiled code draws other numbers.

    Of a step of ResNet-18 on an H200 three quarters went by while the CPU started kernels; compiled ones, which it
    starts one by one as well, were no faster and took half a minute to compile.
    """
    how = recipe.compile
    if how == "auto":
        pays = device.type == "cuda" and ranks.count == 1 and steps >= GRAPHS_PAY_FROM
        how = "graphs" if pays and not (network.draws or recipe.network.frozen) else "off"
    if how == "off":
        return network.features
    return Compiled(network.features, graphs=how == "graphs" and device.type == "cuda")


def load_weights(classifier: Classifier, path: Path) -> None:
    """A warm start: the weights of a model with the same network and classes."""
    other = Classifier.load(path)
    if (other.settings, other.classes) != (classifier.settings, classifier.classes):
        raise SynthoodError(
            f"{path}: a warm start needs the same network and classes, but it has {other.settings} and "
            f"{len(other.classes)} classes, the recipe {classifier.settings} and {len(classifier.classes)}"
        )
    classifier.network.load_state_dict(other.network.state_dict())


def accuracy(classifier: Classifier, images: Labelled) -> float:
    """Share of images whose largest logit is their label's."""
    device = next(classifier.network.parameters()).device
    # A network that diverged is rolled back, or reported with its loss.
    logits, _ = logits_and_features(classifier, images.images, device, finite=False)
    return float((logits.argmax(1).numpy() == images.labels).mean())
