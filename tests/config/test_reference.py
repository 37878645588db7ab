"""docs/config.md: up to date, complete, and with links that lead somewhere."""

import re

import pytest

from synthood.config.keys import NAME, Tag, all_keys
from synthood.config.reference import markdown
from synthood.config.renames import RENAMES

REGENERATE = "regenerate it: python -m synthood.cli schema --markdown > docs/config.md"


@pytest.fixture(scope="module")
def page():
    return markdown()


def test_the_page_is_up_to_date(config_file, page):
    file = config_file.parent / "docs" / "config.md"
    assert file.read_text() == page, f"{file} is out of date; {REGENERATE}"


def test_old_names_stand_at_the_end(page):
    last = page.rpartition("\n## ")[2]
    assert last.startswith("Names in version 1\n")
    assert "| `recipes.NAME.exposure` | `per_image` | `outliers_per_image` |\n" in last
    assert "| `generators.NAME.fit.watch` | `on_collapse: tell` | `on_collapse: warn` |\n" in last
    assert last.count("\n| `") == len(RENAMES)


def test_every_link_leads_to_a_heading(page):
    headings = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    links = set(re.findall(r"\]\(#([^)]*)\)", page))
    assert len(anchors) == len(headings)
    assert links
    assert links <= anchors


def test_every_key_of_every_class_has_a_row(page):
    rows = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    assert set(rows) >= {
        key.path[-1] for key in all_keys() if key.path[-1] not in (NAME, "kind", "sampler", "objective")
    } - {key.path[-1] for key in all_keys() if isinstance(key.path[-1], Tag)}
    assert (
        page.count("\n| `alpha` | number > 0, ≤ 1 | required | share of real images in a batch, or their weight | |\n")
        == 1
    )


def test_a_kind_has_a_row_with_its_paper(page):
    knn = "Minus the squared distance to the k-th nearest training feature, normalised."
    knn += " Looks at features. Fitted on train. OpenOOD searches k 50, 100, 200, 500, 1000."
    knn += " pytorch-ood: equal in order; not squared."
    assert f"\n| **kind: knn** | | | {knn} | [2204.06507](https://arxiv.org/abs/2204.06507) |\n" in page


def test_every_row_has_five_cells(page):
    keys, _, _ = page.partition("\n## Names in version 1\n")
    lines = [line for line in keys.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {6}
