"""The model card of an exported detector, in Markdown."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from synthood.errors import printable

Facts = Mapping[str, Any]
LEARNED = {
    "head": "It is frozen, only the head was trained",
    "stages": "Its last stages and the head were trained further, the others are frozen",
    "all": "All of it was trained further",
    "nothing": "Nothing of it was trained here",
}


def card(facts: Facts) -> str:
    """What the detector is, what it promises, what was measured, and what is unknown."""
    sections = [heading(facts), promise(facts), measured(facts), limits(facts), use(facts)]
    return "\n\n".join(sections) + "\n"


def heading(facts: Facts) -> str:
    detector, size = facts["detector"], facts["preprocessing"]
    models = facts["extras"].get("models")
    folds = [one["detector"] for one in facts["folds"]]
    origin = "; ".join(f"{plain(key)}: {plain(value)}" for key, value in facts["from"].items())
    pretrained = facts.get("backbone")
    lines = [
        "# Classifier that rejects unknown images",
        "",
        f"- Classes: {', '.join(map(plain, facts['classes']))}.",
        f"- Detector: {', '.join(map(named, folds)) + ', one a fold, standardised' if folds else named(detector)}"
        f"{f', the mean softmax of {models} models' if models else ''}.",
        f"- Images: {size['width']}x{size['height']} px, RGB; files of another size or mode are converted as in "
        f"preparation, and the table says so.",
    ]
    lines += [backbone(pretrained)] if pretrained else []
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
            f"| {plain(one['group'])} | {share(one['level'])} | {one['count']} | {one['threshold']:.6g} | "
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
    shown = facts.get("ood_classes", {})
    columns = ["OOD set", "images", "AUROC", "FPR95", *(f"rejected at {share(float(level))}" for level in levels)]
    lines += ["", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for name, one in found["ood"].items():
        classes = [each for each in shown.get(name, ()) if each != name]
        cells = [f"{plain(name)} ({listed(classes)})" if classes else plain(name), str(one["count"])]
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
    if found := facts.get("backbone"):
        lines.append(seen_before(found, [name for classes in facts["ood_classes"].values() for name in classes]))
    if facts["holds_training_features"]:
        lines.append(
            "- The detector's bank holds features of training images. No image is stored, but features can reveal "
            "whether an image was among them."
        )
    return "\n".join(lines)


def backbone(found: Facts) -> str:
    """The weights that the network began with, and what of it was trained since."""
    digest = f", SHA-256 {found['sha256']}" if found["sha256"] else ""
    below = f"; SHA-256 of the weights below the head {found['below_head']}" if found["below_head"] else ""
    labels = ", ".join(found["trained_on"])
    taught = f"trained with the labels of {labels}" if labels else "what it was trained on is unknown here"
    return (
        f"- Backbone: {plain(found['network'])}, weights: {plain(found['weights'])}{digest}; {taught}. "
        f"{LEARNED[found['learned']]}{below}."
    )


def seen_before(found: Facts, classes: Sequence[str]) -> str:
    """Which classes of OOD sets the backbone was trained on, by similar names."""
    lines = "- What the backbone was trained on is not unknown to it, so that the rates above may be better than for "
    lines += "classes that it never saw."
    if not classes:
        return lines
    if not found["compared_with"]:
        return f"{lines} Whether {listed(classes)} is among that is unknown: no list of its classes is at hand."
    where = " and ".join(found["compared_with"])
    alike = [f"{plain(name)} ({listed(names, 3, '; ')})" for name, names in found["alike"].items() if names]
    others = [name for name, names in found["alike"].items() if not names]
    lines += f" Names of {where} like those of OOD sets: {', '.join(alike)}." * bool(alike)
    lines += f" No name of {where} is like {listed(others, most=12)}, though its images may be." * bool(others)
    return lines


def listed(names: Sequence[str], most: int = 6, between: str = ", ") -> str:
    """The first names as plain text."""
    return between.join(map(plain, names[:most])) + f" and {len(names) - most} more" * (len(names) > most)


def plain(text: object) -> str:
    """A name as text of Markdown: nothing in it is a tag, a link, a cell's end, code or emphasis."""
    return re.sub(r"([\\`*_\[\]<>|~&])", r"\\\1", printable(text))


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
