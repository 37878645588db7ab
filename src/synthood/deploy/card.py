"""The model card of an exported detector, in Markdown."""

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

Facts = Mapping[str, Any]


def card(facts: Facts) -> str:
    """What the detector is, what it promises, what was measured, and what is unknown."""
    sections = [heading(facts), promise(facts), measured(facts), limits(facts), use(facts)]
    return "\n\n".join(sections) + "\n"


def heading(facts: Facts) -> str:
    detector, size = facts["detector"], facts["preprocessing"]
    models = facts["extras"].get("models")
    folds = [one["detector"] for one in facts["folds"]]
    origin = "; ".join(f"{key}: {value}" for key, value in facts["from"].items())
    lines = [
        "# Classifier that rejects unknown images",
        "",
        f"- Classes: {', '.join(facts['classes'])}.",
        f"- Detector: {', '.join(map(named, folds)) + ', one a fold, standardised' if folds else named(detector)}"
        f"{f', the mean softmax of {models} models' if models else ''}.",
        f"- Images: {size['width']}x{size['height']} px, RGB; files of another size or mode are converted as in "
        f"preparation, and the table says so.",
    ]
    return "\n".join(lines + [f"- From: {origin}."] * bool(origin))


def named(detector: Facts) -> str:
    """Kind and hyperparameters."""
    values = ", ".join(f"{key} {value}" for key, value in detector.items() if key != "kind")
    return f"{detector['kind']}{f' ({values})' if values else ''}"


def promise(facts: Facts) -> str:
    lines = ["## Promise", "", facts["guarantee"]]
    lines += [f"\n**Warning:** {warning}." for warning in facts["warnings"]]
    if facts["thresholds"]:
        lines += [
            "",
            "| classes | level | calibration images | threshold | true rate, 95 % interval |",
            "|---|---|---|---|---|",
        ]
        lines += [
            f"| {one['group']} | {share(one['level'])} | {one['count']} | {one['threshold']:.6g} | "
            f"{between(one['true_rate'])} |"
            for one in facts["thresholds"]
        ]
    return "\n".join(lines)


def measured(facts: Facts) -> str:
    found = facts["measured"]
    lines = ["## Measured", ""]
    if not found["count"] and not found["ood"]:
        return "\n".join([*lines, "Nothing: accuracy, false alarms and detection of unknown images are unknown."])
    if found["count"]:
        lines += [f"On {found['count']} ID test images, by which nothing was chosen:", ""]
        if found["accuracy"] is not None:
            lines += [f"- accuracy {share(found['accuracy'])} ({between(found['accuracy_interval'])})"]
        lines += [
            f"- level {share(one['level'])}: {share(one['rate'])} rejected ({one['rejected']}); promised "
            f"{between(one['promised'])}{'' if one['kept'] else ' **(not kept)**'}"
            for one in found["false_alarms"]
        ]
    else:
        lines += ["No ID test images: accuracy and false alarms are unknown."]
    if not found["ood"]:
        return "\n".join([*lines, "", "No OOD set: how many unknown images are detected is unknown."])
    levels = list(next(iter(found["ood"].values()))["rejected"])
    columns = ["OOD set", "images", "AUROC", "FPR95", *(f"rejected at {share(float(level))}" for level in levels)]
    lines += ["", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for name, one in found["ood"].items():
        cells = [name, str(one["count"])]
        cells += [figure(one["auroc"], one["auroc_interval"]), figure(one["fpr95"], one["fpr95_interval"])]
        cells += [figure(rate, (low, high)) for rate, low, high in one["rejected"].values()]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", "In brackets 95 % intervals for new images; AUROC and FPR95 in percent."])


def limits(facts: Facts) -> str:
    lines = [
        "## Limits",
        "",
        "- The promise is about ID images like the calibration images. Other cameras, seasons or crops break it.",
        "- An unknown image may be accepted; the rates above are for the OOD sets that were measured alone.",
        "- The probability is the softmax's; no rejection is in it.",
    ]
    if backbone := facts["from"].get("backbone"):
        lines.append(f"- {known_to_backbone(str(backbone), list(facts['measured']['ood']))}")
    if facts["holds_training_features"]:
        lines.append(
            "- The detector's bank holds features of training images. No image is stored, but features can reveal "
            "whether an image was among them."
        )
    return "\n".join(lines)


def known_to_backbone(backbone: str, names: Sequence[str]) -> str:
    """Which OOD sets bear the name of a class that the backbone was trained on, as far as names tell."""
    found = f"Backbone: {backbone}. Classes of its own training set are not unknown to it, so that the rates above may "
    found += "be better than for classes that it never saw."
    words = imagenet_words() if "imagenet-1k" in backbone.lower().replace("imagenet1k", "imagenet-1k") else None
    if words is None:
        return f"{found} Whether held-out classes occur there is unknown; check."
    seen = {name: sorted(words & {name.lower(), name.lower().removesuffix("s")}) for name in names}
    there = ", ".join(name for name, common in seen.items() if common)
    rest = ", ".join(name for name, common in seen.items() if not common)
    found += f" By name in ImageNet-1k: {there}." * bool(there)
    return found + f" Not found by name: {rest}; check." * bool(rest)


def imagenet_words() -> set[str] | None:
    """Last words of the names of ImageNet-1k's classes, by timm; None without it."""
    if importlib.util.find_spec("timm") is None:
        return None
    from timm.data import ImageNetInfo

    described: list[str] = ImageNetInfo("imagenet-1k").label_descriptions()
    return {one.strip().lower().rpartition(" ")[2] for names in described for one in names.split(",")}


def use(facts: Facts) -> str:
    return (
        '## Use\n\n```python\nimport synthood\n\ntable = synthood.load("this folder").predict("images")\n```\n\n'
        "`synthood score FOLDER IMAGES...` writes the same table. Any changed byte in this folder is refused."
    )


def share(value: float) -> str:
    return f"{100 * value:.3g} %"


def between(interval: tuple[float, float]) -> str:
    return f"{100 * interval[0]:.3g} to {100 * interval[1]:.3g} %"


def figure(value: float | None, interval: tuple[float, float] | None) -> str:
    """Percent with their interval."""
    if value is None or interval is None:
        return "unknown"
    return f"{100 * value:.1f} ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})"
