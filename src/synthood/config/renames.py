"""Keys and values that version 1 of the configuration names otherwise."""

from collections.abc import Mapping
from typing import Any, NamedTuple

VERSION = 2
SETS = ("id", "ood_validation", "extra.*", "near.*", "far.*", "shifted.*")


class Rename(NamedTuple):
    """The two names of a key of a section, or of a value of its key `of`; `*` stands for a name that users give."""

    section: str
    old: str
    new: str
    of: str | None = None

    def holds(self, path: tuple[str, ...]) -> bool:
        """Whether a section is one of those meant."""
        steps = self.section.split(".")
        return len(steps) == len(path) and all(step in ("*", part) for step, part in zip(steps, path, strict=True))


RENAMES = (
    *(Rename(f"datasets.*.{part}", "upright", "apply_exif_rotation") for part in SETS),
    Rename("generators.*.source", "upright", "apply_exif_rotation"),
    Rename("generators.*.fit", "also", "extra_sets"),
    Rename("generators.*.fit.watch", "least_diversity", "min_diversity"),
    Rename("generators.*.fit.watch", "tell", "warn", of="on_collapse"),
    Rename("generators.*.filter", "least_posterior", "min_posterior"),
    Rename("generators.*.filter", "shift", "max_shift"),
    Rename("assess", "shift", "max_shift"),
    Rename("outliers.*.boundary", "kept", "keep_per_point"),
    Rename("outliers.*.gate", "wanted_per_class", "keep_per_class"),
    Rename("outliers.*.gate", "posterior_below", "max_posterior"),
    Rename("outliers.*.gate", "confidence_below", "max_confidence"),
    Rename("recipes.*", "deviation", "std"),
    Rename("recipes.*.contrastive", "picked", "points_per_step"),
    Rename("recipes.*.contrastive", "kept", "keep_per_point"),
    Rename("recipes.*.contrastive", "variant", "implementation"),
    Rename("recipes.*.exposure", "per_image", "outliers_per_image"),
    Rename("recipes.*.exposure", "id_at_most", "m_in"),
    Rename("recipes.*.exposure", "outliers_at_least", "m_out"),
    Rename("recipes.*.normalisation", "form", "similarity"),
    Rename("recipes.*.outliers", "take", "negatives"),
    Rename("recipes.*.virtual_outliers", "variant", "implementation"),
    Rename("tables.*", "bases", "baselines"),
)


def renames_in(path: tuple[str, ...]) -> list[Rename]:
    """Those of one section."""
    return [rename for rename in RENAMES if rename.holds(path)]


def new_name(path: tuple[str, ...]) -> str | None:
    """The name in version 2 of the key at a path; None where it has no other."""
    return next((one.new for one in renames_in(path[:-1]) if not one.of and one.old == path[-1]), None)


def upgraded(raw: Any) -> Any:
    """A raw configuration of version 1 as version 2; any other as it is."""
    if not (isinstance(raw, Mapping) and raw.get("version") == 1 and not isinstance(raw["version"], bool)):
        return raw
    return {**renamed(raw), "version": VERSION}


def renamed(value: Any, path: tuple[str, ...] = ()) -> Any:
    """The same with the names of version 2 in it; a key that is given by both names keeps them."""
    if not isinstance(value, Mapping):
        return [renamed(inner, (*path, "")) for inner in value] if isinstance(value, list) else value
    here = renames_in(path)
    keys = {one.old: one.new for one in here if not one.of and one.new not in value}
    values = {(one.of, one.old): one.new for one in here if one.of}
    return {
        keys.get(key, key): values.get((key, inner), inner)
        if isinstance(inner, str)
        else renamed(inner, (*path, str(key)))
        for key, inner in value.items()
    }
