"""Counts in the README and the docs are those of the registries."""

import re
from pathlib import Path

import pytest

from synthood.config.listing import listing
from synthood.reporting.figures.base import figures

ROOT = Path(__file__).parents[2]
MEASURED = ("benchmarks.md", "reproduction.md")
"""Documents that tell what was run once."""
COUNT = re.compile(r"\b(\d+) (detectors|metrics|figures)\b")


def counted(family: str) -> int:
    """Members of a family that come with the project."""
    if family == "figures":
        return len(figures())
    return sum(not line.startswith("custom") for line in listing(family).splitlines())


@pytest.mark.parametrize(
    "file", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda file: file.name
)
def test_counts_are_those_of_the_registries(file: Path) -> None:
    if file.name not in MEASURED:
        wrong = [f"{n} {what}" for n, what in COUNT.findall(file.read_text()) if int(n) != counted(what)]
        assert wrong == []


def test_the_readme_counts_them_all() -> None:
    assert {what for _, what in COUNT.findall((ROOT / "README.md").read_text())} == {"detectors", "metrics", "figures"}
