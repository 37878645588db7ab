"""What a configuration for inspected images says, each choice with its reason."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from synthood.common.seeds import derived_seed
from synthood.data.files.names import some
from synthood.deploy.conformal import rank
from synthood.errors import SynthoodError, nearest, printable
from synthood.init.inspect import UNEVEN, Inspected
from synthood.init.layout import is_unknown

KEEP = 64
"""Pixels up to which images of one size are kept as they are."""
PHOTO_SIDE = 96
"""Pixels a side of photographs: few enough for a CPU, enough for most classes of things."""
GPU_SIDE = 224
CALIBRATION = 100
"""Calibration images from which a threshold of 5 % needs no warning."""
LEVELS = (0.01, 0.05, 0.1)
"""Shares of known images that may be rejected."""
LEAST_CALIBRATION = 9
"""Images without which not even the last of them is possible."""
LEAST_HELD_OUT = 20
"""Images of a class that is drawn to be held out."""
SEEN = 80_000
"""Images that a network from scratch sees in all its epochs, if these are neither few nor many."""
FAR_IMAGES = 200
FAR = {"photo-patches": 427, "textures": 1024, "noise": 1024}
"""Far sets that are made in the run, and the largest side that they have."""
BALANCED = 5
"""Largest class over smallest from which the loss weighs classes, so that the rare ones count as much."""
HEAD_EPOCHS = 30
LEAST_PRETRAINED = 48
"""Pixels a side from which features of a pretrained network are worth more than those of one from scratch."""
QUICK_IMAGES, QUICK_EPOCHS = 100, 5
"""Of each class, and passes over them, for a first answer."""


@dataclass(frozen=True)
class Options:
    """What the user asks for."""

    held_out: list[str] | None = None
    size: int | None = None
    seed: int = 0
    quick: bool = False
    gpu: bool = False


@dataclass(frozen=True)
class Trained:
    """How the classifier comes about: its recipe's keys, features, and the reason."""

    recipe: dict[str, Any]
    features: int
    why: str
    side: int | None = None
    """Pixels a side that it wants."""
    resize: int | None = None
    seeds: int = 1
    learns: bool = True
    """Whether it is trained in the run, on the classes that are not held out."""


@dataclass(frozen=True)
class Choices:
    """Values of a configuration's keys, and by the same names the reasons for them."""

    source: dict[str, Any]
    held_out: list[str]
    unknown: dict[str, Path]
    far: list[str]
    recipe: dict[str, Any]
    detectors: dict[str, dict[str, Any]]
    detector: str
    calibration: str
    levels: list[float]
    seeds: list[int]
    ood_images: int
    drop_copies: bool
    reasons: dict[str, str]
    warnings: tuple[str, ...]


def choose(found: Inspected, options: Options, trained: Trained | None = None) -> Choices:
    """Decides everything that a configuration needs, but for a classifier that is trained already."""
    size, why_size = image_size(found, options, trained)
    held_out, why_held_out, loud = held_out_classes(
        found, options, drawing=trained is None or "epochs" in trained.recipe
    )
    taught = np.array([name not in held_out for name in found.classes])
    train = found.counts["train"][taught]
    per_class = min(QUICK_IMAGES, int(train.min())) if options.quick else None
    images = int(train.sum()) if per_class is None else per_class * len(train)
    if trained is not None and "batch_size" in trained.recipe:
        fits = {"batch_size": min(trained.recipe["batch_size"], images)}
        trained = replace(trained, recipe=trained.recipe | fits)
    trained = trained or from_scratch(size, images, options, mirrored=found.grey < found.decoded)
    mirrors = trained.recipe.get("augmentation", {}).get("flip")
    calibration, levels, why_calibration = calibrated_by(int(found.counts["val"][taught].sum()))
    source = found.layout.keys | {"size": size}
    source |= {"resize": trained.resize} if trained.resize and trained.resize > size else {}
    source |= {} if per_class is None else {"train_per_class": per_class}
    source |= {"on_bad_image": "skip"} if found.bad or (found.decoded < found.total and not found.packed) else {}
    warnings = [loud] if loud else []
    low, high = int(train.min()), int(train.max())
    if not levels:
        count = int(found.counts["val"][taught].sum())
        warnings.append(f"no thresholds and no export: {count} validation images are fewer than {LEAST_CALIBRATION}")
    balanced = per_class is None and high >= BALANCED * low and trained.learns
    if balanced:
        trained = replace(trained, recipe=trained.recipe | {"class_weights": "balanced"})
    if per_class is None and high >= UNEVEN * low:
        then = "the loss weighs them alike (class_weights)" if balanced else "the rare ones are learned less"
        warnings.append(f"classes are uneven, {low} to {high} training images: {then}")
    return Choices(
        source=source,
        held_out=held_out,
        unknown=found.layout.unknown,
        far=[kind for kind, most in FAR.items() if size <= most],
        recipe=trained.recipe,
        detectors=detectors(trained.features, grids=calibration == "split"),
        detector="auto" if calibration == "split" else "knn",
        calibration=calibration,
        levels=levels,
        seeds=[options.seed + index for index in range(1 if options.quick else trained.seeds)],
        ood_images=FAR_IMAGES // 2 if options.quick else FAR_IMAGES,
        drop_copies=bool(found.repeated),
        reasons={
            "size": why_size,
            "train_per_class": "for a quick first answer; take it away for all images",
            "on_bad_image": "unreadable images are left out and listed",
            "held_out": why_held_out,
            "network": trained.why,
            "class_weights": f"a class has {low} to {high} training images; without it the rare ones are learned less",
            "epochs": "few, for a quick first answer" if trained.recipe.get("epochs") == QUICK_EPOCHS else "",
            "augmentation": "grey images are not mirrored, as letters are not" if mirrors is False else "",
            "detector": "the one with the best AUROC on validation images"
            if calibration == "split"
            else "named, since a choice would use the images that calibrate",
            "calibration": why_calibration,
            "seeds": "" if not trained.learns or trained.seeds > 1 else "add more for intervals over trainings",
        },
        warnings=tuple(warnings),
    )


def image_size(found: Inspected, options: Options, trained: Trained | None = None) -> tuple[int, str]:
    """Pixels a side: what a trained network wants, else by the median of the shorter sides."""
    side = found.side
    if options.size is not None:
        return options.size, "as asked"
    if trained is not None and trained.side is not None:
        return trained.side, "the network is usually trained on this size; --size if this one was not"
    if found.square and side <= KEEP:
        return side, f"all images have {side} px, which are kept"
    if side < 48:
        return 32, f"the median of the shorter sides is {side} px"
    if side < PHOTO_SIDE:
        return KEEP, f"the median of the shorter sides is {side} px"
    if options.gpu and side >= GPU_SIDE:
        return GPU_SIDE, f"the median of the shorter sides is {side} px, and there is a GPU"
    return PHOTO_SIDE, f"the median of the shorter sides is {side} px; more pixels cost time by their number"


def held_out_classes(found: Inspected, options: Options, drawing: bool = True) -> tuple[list[str], str, str]:
    """Classes that make the near OOD set, the reason, and a warning where known classes were drawn.

    None is drawn where the classifier is trained already and knows them.
    """
    classes, asked = found.classes, options.held_out
    if asked == ["none"] and "none" not in classes:
        return [], "no class is held out, as asked", ""
    if asked:
        wrong = next((name for name in asked if name not in classes), None)
        if wrong is not None:
            raise SynthoodError(f"--held-out {printable(wrong)}: no class of this name{nearest(wrong, classes)}")
        if len(classes) - len(set(asked)) < 2:
            raise SynthoodError(f"--held-out {some(asked)}: two of the {len(classes)} classes must remain")
        return list(dict.fromkeys(asked)), "held out as asked", ""
    if found.layout.unknown:
        return [], "", ""
    named = [name for name in classes if is_unknown(name)]
    if named and len(classes) - len(named) >= 2:
        return named, "by its name it holds what the classifier is not to know", ""
    if not drawing:
        return [], "", "no near OOD set: the model knows all classes; give images of no class in a folder `other`"
    count, per_class = _how_many(len(classes)), found.per_class
    usual = (per_class >= LEAST_HELD_OUT) & (per_class <= 2 * np.median(per_class))
    candidates = np.flatnonzero(usual)
    if not count or len(candidates) < count:
        why = "two classes are all there are" if not count else "no class can be spared"
        return [], "", f"no near OOD set: {why}; give images of no class in a folder `other`"
    drawn = np.random.default_rng(derived_seed(options.seed, "held-out")).choice(candidates, count, replace=False)
    names = [classes[index] for index in sorted(drawn.tolist())]
    warning = (
        f"THE EXPORTED MODEL WILL NOT KNOW {some(names)}: drawn to test what happens to unknown images; name others "
        f"by --held-out, or keep all by --held-out none"
    )
    return names, f"drawn by seed {options.seed}: the exported model will NOT know these classes", warning


def _how_many(classes: int) -> int:
    return 2 if classes >= 8 else 1 if classes >= 3 else 0


def from_scratch(size: int, images: int, options: Options, mirrored: bool) -> Trained:
    """A residual network by the size and the number of images."""
    small = size <= KEEP and (images < 5_000 or not options.gpu)
    epochs = QUICK_EPOCHS if options.quick else int(np.clip(round(SEEN / images), 8 if small else 5, 60))
    training: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": min(128 if images >= 10_000 else 32, images),
        "learning_rate": 0.05,
        "warmup": 0.05,
        "augmentation": {"shift": max(2, size // 10), "flip": mirrored},
    }
    stem = {"stem": 224} if size > KEEP else {"stem": 64} if size > 40 else {}
    if small:
        why = "small images" + (", few of them" if images < 5_000 else ", and no GPU")
        return Trained({"network": {"name": "resnet8"} | stem} | training, 64, f"{why}; from scratch")
    width = 64 if options.gpu else 32
    network = {"name": "resnet18", "width": width} | stem
    return Trained({"network": network} | training, 8 * width, "from scratch")


def frozen(network: dict[str, Any], features: int, why: str) -> Trained:
    """A linear head on features of a pretrained network, which are computed once."""
    recipe = {
        "network": network | {"freeze": "backbone"},
        "epochs": HEAD_EPOCHS,
        "batch_size": 128,
        "learning_rate": 0.001,
        "optimizer": "adamw",
        "weight_decay": 0.01,
    }
    return Trained(recipe, features, f"{why}; only the head is trained, in seconds", seeds=3)


def suits_pretrained(found: Inspected, options: Options) -> bool:
    """Whether images are like those that pretrained networks have seen: neither grey nor tiny."""
    return image_size(found, options)[0] >= LEAST_PRETRAINED and found.grey < found.decoded / 2


def detectors(features: int, grids: bool) -> dict[str, dict[str, Any]]:
    """Detectors of logits and features that suit any classifier; with lists of values where validation may choose."""
    return {
        "msp": {"kind": "msp"},
        "energy": {"kind": "energy"},
        "knn": {"kind": "knn", "k": [5, 20] if grids else 10},
        "mds": {"kind": "mds"},
        "rmds": {"kind": "rmds"},
        "vim": {"kind": "vim", "dimension": min(256, features // 2)},
    }


def calibrated_by(validation: int) -> tuple[str, list[float], str]:
    """How validation images calibrate the thresholds, for which shares of known images, and why."""
    if validation // 2 >= CALIBRATION:
        how, count = "split", validation // 2
        why = f"half of the {validation} validation images serve the thresholds alone"
    else:
        how, count = "cross", validation
        why = f"{validation} validation images are too few to be halved; the guarantee of `cross` is weaker"
    return how, [level for level in LEVELS if rank(level, count)], why
