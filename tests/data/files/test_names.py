"""Names in one Unicode form, in the order of their numbers, and safe to show."""

from pathlib import Path

import pytest

from synthood.data.files.names import in_order, misnumbered, on_disk, some, sorted_paths, split_of
from synthood.errors import SynthoodError, printable

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


def test_numbers_come_by_value_and_before_words():
    assert in_order(["0", "1", "10", "11", "2", "other"]) == ["0", "1", "2", "10", "11", "other"]
    assert in_order(["b", "a", "a", "3d"]) == ["3d", "a", "b"]


def test_a_number_at_another_place_is_found():
    assert misnumbered(["0", "1", "02", "word"]) is None
    assert misnumbered(["1", "2"]) == "1"
    assert misnumbered(["cat", "dog"]) is None


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("Train", "train"),
        ("TRAINING", "train"),
        ("valid", "val"),
        ("Validation", "val"),
        ("dev", "val"),
        ("Testing", "test"),
        ("tests", None),
        ("cat", None),
    ],
)
def test_splits_have_synonyms_in_any_case(name, split):
    assert split_of(name) == split


def test_text_for_messages_has_no_escapes_and_no_line_breaks():
    assert printable("a\x1b[31m\nb\udc80") == "a\\x1b[31m\\nb\\udc80"
    assert some(list("abcdefg"), 3) == "a, b, c, ..."


def test_the_other_unicode_form_is_found_on_disk(tmp_path):
    (tmp_path / DECOMPOSED).mkdir()
    (tmp_path / DECOMPOSED / f"{COMPOSED}.png").touch()
    assert on_disk(tmp_path / COMPOSED / f"{DECOMPOSED}.png") == tmp_path / DECOMPOSED / f"{COMPOSED}.png"
    assert on_disk(tmp_path / "none" / COMPOSED) == tmp_path / "none" / COMPOSED
    (tmp_path / COMPOSED).mkdir()
    assert on_disk(tmp_path / COMPOSED) == tmp_path / COMPOSED
    (tmp_path / "\u1e69").mkdir(), (tmp_path / "s\u0323\u0307").mkdir()
    with pytest.raises(SynthoodError, match="2 names there differ only in their Unicode form"):
        on_disk(tmp_path / "s\u0307\u0323")


def test_order_does_not_depend_on_the_form():
    later = "cafz.png"
    assert sorted_paths([Path(f"{COMPOSED}.png"), Path(later)]) == [Path(later), Path(f"{COMPOSED}.png")]
    assert sorted_paths([Path(f"{DECOMPOSED}.png"), Path(later)]) == [Path(later), Path(f"{DECOMPOSED}.png")]
