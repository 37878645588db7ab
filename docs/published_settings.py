"""Prints docs/published-settings.md anew: python docs/published_settings.py

What papers and their code set is in docs/published-settings.yaml, what is set here is read from the configurations as
they are loaded. A row names a setting by its place, `recipes.ce.epochs`; `*` stands for every entry of a section that
has no row of its own for that setting, of recipes for those that are trained. `paper` and `release` are the values
there, with the `source`. Where the value here is neither, the row must have a `reason`, and else it must have none. A
row without a setting says in words `what` is otherwise: `paper` or `release`, `here` and the `reason`. Rows that
several configurations share are `groups`, whose `<names>` a configuration fills in.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from synthood.common.settings import Settings
from synthood.config.load import load_file
from synthood.config.models import Config

PROJECT = Path(__file__).parents[1]
DOCUMENT = Path(__file__).with_name("published-settings.md")
DATA = DOCUMENT.with_suffix(".yaml")
MISSING = object()
HEAD = """# Settings as published

What the configurations that stand beside published figures set, and what the papers and their code do: a row per
setting, here as the configuration is loaded. An empty cell: it is not said there, or was not to be read. Below each
table is what is otherwise here, and why. `python docs/published_settings.py` makes this page of
[published-settings.yaml](published-settings.yaml) and the configurations; a test fails where a value is neither the
paper's nor the release's and no reason is given.

Everywhere: inputs are normalised by the mean and deviation of the ID training images, where the code has constants
rounded to four digits; random numbers are this package's own; hyperparameters are searched on validation sets apart
from every test set. `recipes.*`: every trained recipe without a row of its own for the setting.
"""


class Row(Settings):
    """What is known of one setting."""

    setting: str | None = None
    what: str | None = None
    paper: Any = MISSING
    release: Any = MISSING
    here: Any = MISSING
    source: str = ""
    reason: str = ""

    @property
    def published(self) -> list[Any]:
        """The values that the paper and the release have."""
        return [value for value in (self.paper, self.release) if value is not MISSING]


class Claim(Settings):
    """What a configuration claims, and the rows that hold it to that."""

    claims: str
    rows: list[Row]
    apart: list[str] = []
    """Recipes that the claim is not about."""


def read(path: Path = DATA) -> tuple[dict[str, str], dict[str, Claim]]:
    """The sources by name, and the claims by configuration, groups put in."""
    content = yaml.safe_load(path.read_text())
    groups = content["groups"]

    def rows(entries: list[dict[str, Any]], names: dict[str, str]) -> Iterator[Row]:
        for entry in entries:
            own = {key: filled(value, names) for key, value in entry.items()}
            if "group" in own:
                yield from rows(groups[own.pop("group")], names | own)
            else:
                yield Row.model_validate(own)

    claims = {
        name: Claim.model_validate(one | {"rows": list(rows(one["rows"], {}))})
        for name, one in content["configs"].items()
    }
    return content["sources"], claims


def filled(value: Any, names: dict[str, Any]) -> Any:
    """A value with what a configuration gives for its `<names>`; one that is a name alone becomes what is given."""
    if not isinstance(value, str):
        return value
    for key, given in names.items():
        if value == f"<{key}>":
            return given
        value = value.replace(f"<{key}>", str(given))
    return value


def resolved(config: Config) -> dict[str, Any]:
    """The configuration as it is meant, with every default, as plain values."""
    return config.model_dump(mode="json", by_alias=True)


def values(content: dict[str, Any], claim: Claim, row: Row) -> dict[str, Any]:
    """The values of a row's setting, by their places; KeyError where there is no such place."""
    assert row.setting is not None
    if "*" not in row.setting:
        return {row.setting: at(content, row.setting)}
    section, _, rest = row.setting.partition(".*.")
    own = {other.setting for other in claim.rows if other.setting and "*" not in other.setting}
    entries = at(content, section).items()
    names = [name for name, entry in entries if entry.get("kind") != "checkpoint" and name not in claim.apart]
    places = [place for name in names if (place := f"{section}.{name}.{rest}") not in own]
    return {place: at(content, place) for place in places}


def at(content: Any, place: str) -> Any:
    """What stands at a place; names may have dots in them."""
    if not isinstance(content, dict):
        raise KeyError(place)
    for key in sorted(content, key=len, reverse=True):
        if place == key:
            return content[key]
        if place.startswith(f"{key}."):
            return at(content[key], place.removeprefix(f"{key}."))
    raise KeyError(place)


def same(one: Any, other: Any) -> bool:
    """Whether two values mean the same: whole numbers and floats do, truth values and numbers do not."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def mistakes(name: str, config: Config, claim: Claim) -> list[str]:
    """Values that the data file contradicts without a reason, and reasons where nothing is contradicted."""
    content, found = resolved(config), []
    for row in claim.rows:
        if row.setting is None:
            if not (row.what and row.reason and row.here is not MISSING):
                found.append(f"{name}: a row without a setting must say what, here and reason: {row}")
            continue
        if not row.published or not row.source:
            found.append(f"{name}: {row.setting}: give the paper's value or the release's, and the source")
            continue
        try:
            here = values(content, claim, row)
        except KeyError:
            found.append(f"{name}: {row.setting}: the configuration has no such setting")
            continue
        others = {place: value for place, value in here.items() if not any(same(value, one) for one in row.published)}
        if others and not row.reason:
            told = " or ".join(dict.fromkeys(map(shown, row.published)))
            found += [f"{name}: {place} is {shown(value)}, published {told}" for place, value in others.items()]
        if row.reason and not others:
            found.append(f"{name}: {row.setting} is as published, so its reason is old")
    return found


def uncovered(config: Config, claim: Claim) -> list[str]:
    """Settings of recipes and detectors with published figures that no row is about."""
    content = resolved(config)
    about = {place for row in claim.rows if row.setting for place in values(content, claim, row)}
    wanted: dict[str, None] = {}
    for table in config.tables.values():
        if table.published is None:
            continue
        for recipe in table.published.trainings:
            settings = content["recipes"][recipe]
            keys = ["network.name"]
            if settings["kind"] == "train":
                keys += ["epochs", "batch_size", "learning_rate", "weight_decay", "keep"]
                keys += [
                    f"augmentation.{key}" for key, value in settings["augmentation"].items() if key in CHANGES and value
                ]
                keys += ["synthetic.alpha"] if settings["synthetic"] else []
            wanted |= dict.fromkeys(f"recipes.{recipe}.{key}" for key in keys)
        for detector in table.published.detectors:
            wanted |= dict.fromkeys(
                f"detectors.{detector}.{key}" for key in content["detectors"][detector] if key not in FIXED
            )
    return [place for place in wanted if not any(one == place or one.startswith(f"{place}.") for one in about)]


CHANGES = ("shift", "resized_crop", "randaugment", "augmix", "pixmix", "cutout")
FIXED = ("kind", "score", "similarity", "variant")
"""Keys of a detector that are a form of its formula, not a number."""


def shown(value: Any) -> str:
    """A value as a configuration would have it."""
    if value is MISSING or isinstance(value, str):
        return "" if value is MISSING else str(value)
    if isinstance(value, list):
        return f"[{', '.join(map(shown, value))}]"
    return f"{value:g}" if isinstance(value, float) else json.dumps(value)


def table(claim: Claim, config: Config) -> str:
    """The rows of a configuration in Markdown, and what is otherwise, with the reasons."""
    content = resolved(config)
    lines = ["| setting | paper | release | here | source |", "|---|---|---|---|---|"]
    otherwise = []
    for row in claim.rows:
        if row.setting is None:
            cells = [row.what or "", shown(row.paper), shown(row.release), shown(row.here), row.source]
            otherwise.append(f"- {row.what}: {row.reason}")
        else:
            here = list(dict.fromkeys(map(shown, values(content, claim, row).values())))
            cells = [f"`{row.setting}`", shown(row.paper), shown(row.release), " or ".join(here), row.source]
            if row.reason:
                otherwise.append(f"- `{row.setting}`: {row.reason}")
        lines.append(f"| {' | '.join(cells)} |".replace("|  ", "| "))
    return "\n".join(lines) + "\n" + ("\nOtherwise here:\n\n" + "\n".join(otherwise) + "\n" if otherwise else "")


def page(data: Path = DATA, configs: Path = PROJECT / "configs") -> str:
    """The whole page."""
    sources, claims = read(data)
    parts = [HEAD, "## Sources\n", "".join(f"- `{name}`: {where}\n" for name, where in sources.items())]
    for name, claim in claims.items():
        title = f"## [{name}](../configs/{name}.yaml)\n\n{claim.claims}\n"
        parts += [title, table(claim, load_file(configs / f"{name}.yaml"))]
    return "\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit code 1 where the page is not as its sources say")
    check = parser.parse_args().check
    _, claims = read()
    found = [
        one
        for name, claim in claims.items()
        for one in mistakes(name, load_file(PROJECT / f"configs/{name}.yaml"), claim)
    ]
    if found:
        sys.exit("\n".join(found))
    if not check:
        DOCUMENT.write_text(page())
    elif page() != DOCUMENT.read_text():
        sys.exit(f"{DOCUMENT}: not what the configurations say; run python docs/published_settings.py")


if __name__ == "__main__":
    main()
