"""Which images a published figure is about, and whether a dataset has the same sets, by name and number of images."""

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import yaml

from synthood.common.settings import Settings
from synthood.data.settings import DatasetSettings
from synthood.errors import SynthoodError
from synthood.reporting.settings import ImageSets, Published

TRAIN, TEST = "the ID training set", "the ID test set"


class Disputed(Settings):
    """A published figure that is probably wrong, and who says so."""

    dataset: str
    training: str
    detector: str
    figure: str
    reason: str


class Sidecar(Settings):
    """The file `NAME.yaml` that belongs to `NAME.csv`: what the means are over, and which of them are disputed."""

    sets: dict[str, ImageSets]
    disputed: list[Disputed] = []


@cache
def sidecar(table: Path) -> Sidecar:
    """What belongs to a CSV file of published figures."""
    path = table.with_suffix(".yaml")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Sidecar.model_validate({key: value for key, value in content.items() if not key.startswith("x-")})
    except (OSError, ValueError, AttributeError, yaml.YAMLError) as error:
        cause = " ".join(str(error).split())
        raise SynthoodError(
            f"{path}: must say which sets the means of {table.name} are over, as `sets: {{DATASET: {{test: COUNT, "
            f"near: {{SET: COUNT}}, far: {{SET: COUNT}}}}}}` ({cause})"
        ) from error


def names_in_source(dataset: DatasetSettings, published: Published) -> dict[str, str]:
    """The source's name of each set of a dataset; a set that is computed gets none that a source could have."""
    sources = {**dataset.near, **dataset.far, **dataset.shifted}
    names = {
        name: f"{name} (computed, kind {source.kind})" if source.computed else published.sets.get(name, name)
        for name, source in sources.items()
    }
    for name in names.values():
        if list(names.values()).count(name) > 1:
            raise SynthoodError(f"published.sets: two sets of one dataset are {name!r}; name each once")
    return names


def declared(dataset: DatasetSettings, names: Mapping[str, str], full_spectrum: bool) -> ImageSets:
    """The sets of a dataset by the source's names, with the counts that the configuration demands."""

    def count(source: Settings) -> int | None:
        return None if chosen(source) else getattr(source, "count", None)

    def counts(sets: Mapping[str, Settings]) -> dict[str, int | None]:
        return {names[name]: count(source) for name, source in sets.items()}

    def chosen(source: Settings) -> bool:
        return any(getattr(source, key, None) for key in ("labels", "except_labels"))

    train, classes = dataset.id.lines("train"), dataset.taught.class_count
    if each := getattr(dataset.id, "train_per_class", None):
        train = each * classes if classes else None
    return ImageSets(
        train=train,
        test=dataset.id.lines("test"),
        near=counts(dataset.near),
        far=counts(dataset.far),
        shifted=counts(dataset.shifted) if full_spectrum else {},
    )


def contradiction(theirs: ImageSets, ours: ImageSets, part: str) -> str:
    """How our images differ from those of a published figure of `test`, `near` or `far`, as far as both are known."""
    for role in ("shifted", part) if part != "test" else ("shifted",):
        published, here = getattr(theirs, role), getattr(ours, role)
        if set(published) != set(here):
            return f"published over {listed(published)}, here over {listed(here)}"
    both = {name: (count, images(ours, part)[name]) for name, count in images(theirs, part).items()}
    for name, (count, own) in {TRAIN: (theirs.train, ours.train), **both}.items():
        if count is not None and own is not None and count != own:
            return f"published with {count:,} images of {name}, here {own:,}"
    return ""


def unsaid(theirs: ImageSets, part: str) -> str:
    """The sets of which the source does not say how many images it used."""
    silent = [name for name, count in images(theirs, part).items() if count is None]
    return f"the source does not say how many images of {listed(silent)} it used" if silent else ""


def images(sets: ImageSets, part: str) -> dict[str, int | None]:
    """Counts of all test sets that a figure depends on."""
    return {TEST: sets.test, **sets.shifted, **(getattr(sets, part) if part != "test" else {})}


def listed(names: Iterable[str]) -> str:
    """Names in a sentence."""
    *most, last = [*names] or ["no set"]
    return f"{', '.join(most)} and {last}" if most else last
