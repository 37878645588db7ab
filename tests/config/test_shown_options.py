"""Every option is shown in a configuration that comes with the project, or has a reason here why not.

Options are alternatives (`kind: manifest`), the values of a key that takes one of a few (`on_nan: rollback`), and keys
that are off or empty by default. Keys of one name count as one, and numbers with a default are not options: they are
what a method's paper or this project's trials chose.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from synthood.config.benchmarks import expanded
from synthood.config.keys import NAME, Key, Tag, all_keys, alternatives
from synthood.config.like import SECTIONS, resolved
from synthood.config.read import read

ROOT = Path(__file__).parents[2]
FILES = sorted(
    [ROOT / "config.yaml", ROOT / "tests/config.yaml", *ROOT.glob("configs/*.yaml"), *ROOT.glob("examples/*/*.yaml")]
)
NOT_SHOWN = {
    "precision": "of one recipe or sampler alone; configurations set it for all",
    "compile": "how a job computes, not what",
    **dict.fromkeys(
        ("bits", "apply_exif_rotation", "split: train"),
        "depends on the user's image files",
    ),
    **dict.fromkeys(("ignore", "prefix", "rename", "weights"), "depends on the user's checkpoint"),
    **dict.fromkeys(("download", "revision", "sha256", "variant"), "which file of weights, not what is done with it"),
    **dict.fromkeys(("datasets", "sets"), "names in published tables that differ from the configuration's"),
    **dict.fromkeys(("calibration: cross", "seeds", "onnx"), "shown in docs/deploy.md, run in tests/deploy"),
    "code": "a digest that a model's file records",
    "pixels: uint8": "what a function of the user's wants",
    "config": "of a DINOv2 or CLIP that starts from no weights",
    "interpolation: bilinear": "what data have by default, and networks without weights",
    "options": "of timm's constructors, which document them",
}
"""Options, or keys with all their values, that no configuration uses, with the reason."""


def contents(file: Path) -> dict[str, Any]:
    """A configuration's mapping with `like:` and `benchmark:` followed."""
    raw = read(file)[0]
    found = {key: expanded(raw[key]) if key == "datasets" else resolved(key, raw[key]) for key in SECTIONS & raw.keys()}
    return raw | found


def reached(values: list[Any], path: tuple[str | Tag, ...]) -> list[Any]:
    """What stands at a key's path in any of these values."""
    for step in path:
        if isinstance(step, Tag):
            values = [value for value in values if isinstance(value, dict) and step.covers(value)]
        elif step == NAME:
            lists = [value for value in values if isinstance(value, list | dict)]
            values = [inner for value in lists for inner in (value.values() if isinstance(value, dict) else value)]
        else:
            values = [value[step] for value in values if isinstance(value, dict) and step in value]
    return values


def options(key: Key) -> Iterator[tuple[str, Any]]:
    """Names of the options that a key has, with the value that uses each; None where any value does."""
    last, default = key.path[-1], key.node.get("default")
    if isinstance(last, Tag):
        yield f"{last.key}: {last.values[0]}", None
    elif last != NAME and not key.is_tag:
        parts = alternatives(key.node)
        choices = [value for part in parts for value in ([part["const"]] if "const" in part else part.get("enum", []))]
        yield from ((f"{last}: {value}", value) for value in choices if value != default)
        number = isinstance(default, int | float) and not isinstance(default, bool)
        if not choices and "default" in key.node and not default and not number:
            yield last, None


def unused(configurations: list[dict[str, Any]]) -> list[str]:
    """Options that no configuration uses."""
    used: dict[str, bool] = defaultdict(bool)
    for key in all_keys():
        values = reached(list(configurations), key.path)
        flat = [one for value in values for one in (value if isinstance(value, list) else [value])]
        for option, wanted in options(key):
            used[option] |= (
                wanted in flat if wanted is not None else any(value != key.node.get("default") for value in values)
            )
    return sorted(option for option, is_used in used.items() if not is_used)


def test_every_option_is_shown_or_has_a_reason() -> None:
    left = unused([contents(file) for file in FILES] + [read(file)[0] for file in FILES])
    excused = {one: next((key for key in (one, one.partition(":")[0]) if key in NOT_SHOWN), None) for one in left}
    assert [one for one, key in excused.items() if key is None] == []
    assert NOT_SHOWN.keys() == set(excused.values())


def test_an_option_that_no_configuration_uses_is_found() -> None:
    assert {"on_nan: rollback", "kind: manifest", "adapt", "map: t-sne"} <= set(
        unused([contents(ROOT / "config.yaml")])
    )
    assert "on_nan: rollback" not in unused([{"recipes": {"ce": {"on_nan": "rollback"}}}])
    assert "map: t-sne" not in unused([{"figures": {"map": "t-sne"}}])
