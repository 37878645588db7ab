"""Stage `leaks`: images that stand in two parts of a dataset, with the same pixels or nearly so."""

import base64
import io
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import jinja2
import numpy as np
import pandas as pd

from synthood.common import stage
from synthood.common.command import Output
from synthood.common.html import HEAD
from synthood.common.images import open_set, pixel_sha256, stored
from synthood.common.names import Names
from synthood.common.names import joined as joined_names
from synthood.data.leaks.likeness import Looks, alike, joined, looks_of
from synthood.data.leaks.settings import LeakSettings

STEP = 512
"""Images whose pixels are looked at together."""
COUNTS = ("part", "images", "other", "exact", "near")
PAIRS = ("image", "other", "kind", "correlation", "image_path", "other_path")
SHOWN_SIDE = 64

PAGE = (
    HEAD
    + """th:nth-child(odd):nth-child(-n+3),td:nth-child(odd):nth-child(-n+3){text-align:left}
tr.found td{background:#fdf3e1}
img{width:64px;height:64px;image-rendering:pixelated}figure{display:inline-block;margin:.3rem}
figcaption{font-size:11px;color:#5b6570}
</style></head><body>
<h1>Images that stand in two parts</h1>
<p>{{ note }}</p>
<table><thead><tr>{% for name in header %}<th>{{ name }}</th>{% endfor %}</tr></thead><tbody>
{% for row in rows %}<tr{% if row[3] or row[4] %} class="found"{% endif %}>\
{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table>
{% for heading, pictures in examples %}<h2>{{ heading }}</h2>
{% for picture in pictures %}<figure><img alt="" src="data:image/png;base64,{{ picture.left }}">\
<img alt="" src="data:image/png;base64,{{ picture.right }}"><figcaption>{{ picture.text }}\
{% for file in picture.files %}<br>{{ file }}{% endfor %}</figcaption></figure>
{% endfor %}{% endfor %}
</body></html>
"""
)


@dataclass
class Part:
    """An image set of one file, or of a generator's blocks, as this stage sees it."""

    name: str
    files: list[Path]
    looks: Looks
    digests: np.ndarray
    names: Names | None = None
    first_with: dict[bytes, int] = field(init=False)

    def __post_init__(self) -> None:
        self.first_with = {}
        for place, digest in enumerate(self.digests):
            self.first_with.setdefault(digest.tobytes(), place)

    def __len__(self) -> int:
        return len(self.looks)

    @classmethod
    def read(cls, name: str, files: list[Path], threads: int = 1) -> "Part":
        """Looks at every image once; only its hash, its digest and 768 bytes of pixels are kept."""
        looks, digests = [], []
        for images in _batches(files, threads):
            looks.append(looks_of(images))
            digests.append(pixel_sha256(images))
        found = [stored(file) for file in files]
        names = joined_names([(names, len(sums)) for sums, names in found])
        return cls(name, files, joined(looks), np.concatenate(digests), names)

    def path(self, place: int) -> str:
        """The name of an image's file; empty where it has none."""
        return self.names[place] if self.names is not None else ""

    def pictures(self, places: set[int], threads: int = 1) -> dict[int, np.ndarray]:
        """The images at these places."""
        found: dict[int, np.ndarray] = {}
        start = 0
        for images in _batches(self.files, threads) if places else ():
            inside = [place for place in places if start <= place < start + len(images)]
            found |= {place: images[place - start] for place in inside}
            start += len(images)
        return found


def _batches(files: list[Path], threads: int) -> Iterator[np.ndarray]:
    for file in files:
        images = open_set(file, threads).images
        for start in range(0, len(images), STEP):
            yield images[start : start + STEP]


def leaks(parts: list[Part], settings: LeakSettings) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Counts by ordered pair of parts, and the pairs themselves.

    A row of the counts says how many images of `part` have an image of `other` with the same pixels (exact), or, where
    they have none, one that is nearly the same (near). A row of the pairs names an image and the nearest of the other
    part as `part/index`, and the files of both, where there are files.
    """
    counts: list[tuple[str, int, str, int, int]] = []
    pairs: list[tuple[str, str, str, float, str, str]] = []
    for one, other in itertools.combinations(parts, 2):
        found = alike(one.looks, other.looks, settings.hash_bits, settings.correlation)
        for part, second, nearest in ((one, other, found[0]), (other, one, found[1])):
            same = np.array([second.first_with.get(digest.tobytes(), -1) for digest in part.digests])
            near = np.flatnonzero((same < 0) & (nearest.place >= 0))
            exact = np.flatnonzero(same >= 0)
            counts.append((part.name, len(part), second.name, len(exact), len(near)))
            near = near[np.argsort(-nearest.correlation[near], kind="stable")]
            found_pairs = [(i, int(same[i]), "exact", 1.0) for i in exact.tolist()]
            found_pairs += [(i, int(nearest.place[i]), "near", float(nearest.correlation[i])) for i in near.tolist()]
            pairs += [
                (f"{part.name}/{i}", f"{second.name}/{j}", kind, value, part.path(i), second.path(j))
                for i, j, kind, value in found_pairs
            ]
    return pd.DataFrame(counts, columns=list(COUNTS)), pd.DataFrame(pairs, columns=list(PAIRS))


def examples(pairs: pd.DataFrame, parts: list[Part], settings: LeakSettings) -> dict[tuple[str, str], pd.DataFrame]:
    """Near pairs to be shown for each two parts, from the most alike to the least, evenly spread."""
    shown = {}
    near = pairs[pairs["kind"] == "near"]
    names, others = (np.array([place.rpartition("/")[0] for place in near[side]]) for side in ("image", "other"))
    for one, other in itertools.combinations([part.name for part in parts], 2):
        rows = near[(names == one) & (others == other)]
        chosen = np.unique(np.linspace(0, len(rows) - 1, min(settings.examples, len(rows))).round().astype(int))
        if len(chosen):
            shown[one, other] = rows.iloc[chosen]
    return shown


def page(counts: pd.DataFrame, pairs: pd.DataFrame, parts: list[Part], settings: LeakSettings, threads: int) -> str:
    """Counts and examples as one HTML page without outside resources."""
    shown = examples(pairs, parts, settings)
    wanted: dict[str, set[int]] = {part.name: set() for part in parts}
    for rows in shown.values():
        for place in [*rows["image"], *rows["other"]]:
            name, _, index = place.rpartition("/")
            wanted[name].add(int(index))
    pictures = {part.name: part.pictures(wanted[part.name], threads) for part in parts}

    def png(place: str) -> str:
        from PIL import Image

        name, _, index = place.rpartition("/")
        image = Image.fromarray(pictures[name][int(index)])
        image.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
        image.save(stream := io.BytesIO(), "PNG")
        return base64.b64encode(stream.getvalue()).decode()

    blocks = [
        (
            f"{one} and {other}: nearly the same",
            [
                {
                    "left": png(image),
                    "right": png(near),
                    "text": f"{image}, {near}: {value:.2f}",
                    "files": [path for path in files if path],
                }
                for image, near, _, value, *files in rows.itertuples(index=False, name=None)
            ],
        )
        for (one, other), rows in shown.items()
    ]
    note = (
        f"Images of `part` that stand in `other` as well: exact with the same pixels (SHA-256), near where "
        f"{64 - settings.hash_bits} bits of 64 of their hashes are equal and 16x16 pixels correlate by "
        f"{settings.correlation:g} at least. The pairs are named in leak_pairs.csv."
    )
    template = jinja2.Environment(autoescape=True).from_string(PAGE)
    return template.render(title="Leaks", note=note, header=COUNTS, rows=counts.to_numpy().tolist(), examples=blocks)


def grouped(images: list[Path], synthetic: list[Path]) -> dict[str, list[Path]]:
    """Files by the name of their part: its own, or `synthetic-` and the generator, whose blocks belong together."""
    found = {path.stem: [path] for path in images}
    for block in synthetic:
        found.setdefault(f"synthetic-{block.parent.name}", []).append(block)
    return found


@stage.Stage
def main(
    job: stage.Job,
    settings: LeakSettings,
    threads: int,
    images: Annotated[list[Path], "image sets, named by their files"],
    counts: Output,
    pairs: Output,
    html: Output,
    synthetic: Annotated[Sequence[Path], "blocks, in folders named by generator"] = (),
) -> None:
    files = grouped(images, list(synthetic))
    parts = [Part.read(name, paths, threads) for name, paths in files.items()]
    found, listed = leaks(parts, settings)
    with job.writing(counts) as path:
        found.to_csv(path, index=False, lineterminator="\n")
    with job.writing(pairs) as path:
        listed.to_csv(path, index=False, float_format="%.4f", lineterminator="\n")
    with job.writing(html) as path:
        path.write_text(page(found, listed, parts, settings, threads))
    print(found[(found["exact"] > 0) | (found["near"] > 0)].to_string(index=False))


if __name__ == "__main__":
    main()
