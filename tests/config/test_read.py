"""The text of a configuration: each key once, within bounds, and nothing that YAML takes for something else."""

import time

import pytest
import yaml

from checkouts import PROJECT
from synthood.config.load import load_file
from synthood.config.read import MOST, mistakes_of, read
from synthood.errors import SynthoodError


@pytest.fixture
def told(tmp_path):
    """What is said of a text, without the file's name."""

    def tell(text, name="own.yaml"):
        file = tmp_path / name
        file.write_text(text)
        found = mistakes_of(file)
        assert found == read(file)[1]
        return [line.removeprefix(f"{file}: ") for line in found]

    return tell


def refused(tmp_path, text, name="own.yaml"):
    file = tmp_path / name
    file.write_text(text)
    start = time.process_time()
    for check in (mistakes_of, load_file):
        with pytest.raises(SynthoodError) as caught:
            check(file)
        assert str(caught.value).count("\n") == 0
        assert len(str(caught.value)) < 600
    assert time.process_time() - start < 5
    return str(caught.value).removeprefix(str(file))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3\n", ["a: given on lines 1 and 3; keep one"]),
        ("x:\n  y: {a: 1, b: 2, a: 1}\n", ["x.y.a: given on lines 2 and 2; keep one"]),
        ("x: [1, {a: 1,\n 'a': 1}]\n", ["x.1.a: given on lines 1 and 2; keep one"]),
        ("1: a\n'1': b\n", ["1: given on lines 1 and 2; keep one"]),
        ("a: &a {k: 1}\nb:\n  <<: *a\n  k: 2\n", []),
        ("a: &a {k: 1}\nb: {k: 2, <<: *a}\n", []),
        ("a: &a {k: 1}\nc: &c {l: 1}\nb: {<<: [*a, *c], k: 2}\n", []),
        ("a: &a {k: 1}\nb: {<<: *a, <<: *a}\n", ["b.<<: given on lines 2 and 2; keep one"]),
        ("a: &a {k: 1}\nb: {<<: *a, k: 2, k: 3}\n", ["b.k: given on lines 2 and 2; keep one"]),
        ("a: {k: 1}\nb: {k: 1}\n", []),
    ],
)
def test_a_key_is_given_once(told, text, expected):
    assert told(text) == expected


def test_keys_of_json_are_given_once(tmp_path):
    assert refused(tmp_path, '{"a": {\n\t"b": 1e-3, "b": 2}}', "own.json") == (
        ": b: given twice in one section; keep one"
    )
    (tmp_path / "good.json").write_text('{"a": {\n\t"b": 1e-3}}')
    assert read(tmp_path / "good.json") == ({"a": {"b": 0.001}}, [])


@pytest.mark.parametrize("text", ["yes: 1", "on: 1", "~: 1", "010: 1", "1:30: 1", "2024-01-31: 1", "1_0: 1"])
def test_a_key_that_yaml_reads_as_something_else_is_quoted(told, text):
    (line,) = told(text)
    assert "line 1: YAML reads this key as " in line
    assert line.endswith("put it in quotes")
    assert told(f'"{text.rpartition(":")[0]}": 1') == []


@pytest.mark.parametrize("text", ["10: 1", "1.5: 1", "2.0: 1", "0: 1", "a.b-c_d: 1"])
def test_a_key_of_plain_digits_is_a_name(told, text):
    assert told(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1e-3", "1.0e-3 or 0.001"),
        ("5e3", "5.0e+3 or 5000"),
        ("-1E2", "-1.0e+2 or -100"),
        (".5e1", "0.5e+1 or 5"),
        ("1.5e3", "1.5e+3 or 1500"),
        ("2e-12", "2.0e-12"),
    ],
)
def test_a_number_that_yaml_reads_as_text_is_explained(told, text, expected):
    (line,) = told(f"a:\n  b: [0.1, {text}]\n")
    assert line == (
        f"a.b.1: line 2: {text} is text to YAML; its numbers have a dot and a signed exponent: write {expected}; "
        f"put it in quotes where text is meant"
    )
    for way in expected.split(" or "):
        assert yaml.safe_load(way) == float(text)
    assert told(f"a: '{text}'") == []


@pytest.mark.parametrize("text", ["010", "1:30", "0x1F", "0b11", "1:30.5"])
def test_a_number_that_yaml_reads_as_another_is_named(told, text):
    (line,) = told(f"a: {text}")
    assert line.startswith(f"a: line 1: YAML reads {text} as {yaml.safe_load(text)}; write that, or put it in quotes")


@pytest.mark.parametrize("text", ["0", "-3", "1_000", "1.0e-3", ".5", "5.", "true", "null", "a1e3", "1e", "e5", "1-2"])
def test_plain_values_pass(told, text):
    assert told(f"a: {text}") == []


def test_depth_is_bounded(tmp_path):
    for text in ("a: " + "[" * 3000 + "]" * 3000, "{a: " * 3000 + "}" * 3000, "- " * 3000 + "1"):
        assert refused(tmp_path, text) == ", line 1: nested more than 40 levels deep; a configuration needs fewer"
    chain = "a0: &a0 [1]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 3000))
    assert refused(tmp_path, chain) == ", line 39: nested more than 40 levels deep; a configuration needs fewer"
    file = tmp_path / "deep.json"
    for depth in (50, 100_000):
        file.write_text('{"a": ' + "[" * depth + "]" * depth + "}")
        with pytest.raises(SynthoodError, match="nested more than 40 levels deep"):
            load_file(file)


def test_aliases_count_as_all_that_they_repeat(tmp_path, told):
    nine = "a0: &a0 [" + ", ".join(["x"] * 9) + "]\n"
    nine += "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 7))
    assert refused(tmp_path, nine) == f", line 6: more than {MOST} keys and values; use fewer aliases"
    merged = "a0: &a0 {k: 1}\n" + "".join(
        f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 8)
    )
    assert "keys and values; use fewer aliases" in refused(tmp_path, merged)
    assert told("a: &a [1, 2, 3]\nb: [*a, *a, *a]\n") == []


def test_a_section_in_itself_is_named_with_its_line(tmp_path):
    for text, path in (("x: 1\na: &a {b: *a}", "a.b"), ("x: 1\na: &a [1, {c: [*a]}]", "a.1.c.0")):
        assert refused(tmp_path, text) == f", line 2: {path}: a section contains itself; take the anchor out"


@pytest.mark.parametrize("text", ["? [a]\n: 1\n", "? {a: 1}\n: 1\n", "a: &a x\n*a : 1\n"])
def test_a_key_is_text(tmp_path, text):
    assert "a key must be plain text" in refused(tmp_path, text)


@pytest.mark.parametrize(
    "text", ["a: *b", "a: !!python/object:os.system {}", "a: [1", "a: 1\n---\nb: 2", "a: '\x01'", "a: !!int x"]
)
def test_what_is_no_yaml_is_said_in_one_line(tmp_path, text):
    file = tmp_path / "own.yaml"
    file.write_text(text)
    with pytest.raises(SynthoodError, match=r"^\S+: not valid YAML \([^\n]*\)$"):
        load_file(file)


def test_a_large_file_is_not_read_to_its_end(tmp_path):
    assert ": more than 8388608 characters" in refused(tmp_path, "a: " + "x" * (1 << 23))


@pytest.mark.parametrize("text", ["a\nb", "a\x1b[31mb", "a\u2028b", "a\u202eb", "a\x7f", "\ta"])
def test_texts_and_keys_are_one_line_without_control_characters(tmp_path, demo, text):
    demo["tables"]["demo-sio"]["title"] = text
    demo["datasets"]["digits"]["near"]["digits-8-9"][text] = 1
    file = tmp_path / "own.yaml"
    file.write_text(yaml.safe_dump(demo))
    with pytest.raises(SynthoodError) as caught:
        load_file(file)
    first, second = str(caught.value).split("\n")
    assert first.startswith(f"{file}: datasets.digits.near.digits-8-9.a" if text[0] == "a" else str(file))
    assert first.endswith("the key holds a line break or a control character; take it out")
    assert second.startswith(
        f"{file}: tables.demo-sio.title: holds a line break or a control character; write it in one"
    )
    assert str(caught.value).count("\n") == 1
    assert not {"\x1b", "\u2028", "\u202e", "\x7f"} & set(str(caught.value))


def test_mistakes_of_the_text_come_before_those_of_the_values(tmp_path):
    file = tmp_path / "own.yaml"
    text = (PROJECT / "config.yaml").read_text().replace("learning_rate: 0.02", "learning_rate: 2e-2")
    file.write_text(text.replace("figures: {dpi: 120}", "figures: {dpi: 120, dpi: 20}"))
    with pytest.raises(SynthoodError) as caught:
        load_file(file)
    first, second, third = str(caught.value).split("\n")
    assert first.startswith(f"{file}: recipes.ce-continued.learning_rate: line ")
    assert second.startswith(f"{file}: figures.dpi: given on lines ")
    assert third.startswith(f"{file}: figures.dpi: input should be greater than or equal to 30, got 20")


@pytest.mark.parametrize("path", sorted([PROJECT / "config.yaml", *(PROJECT / "configs").glob("*.yaml")]), ids=str)
def test_shipped_configurations_are_read_as_before(path):
    assert read(path) == (yaml.safe_load(path.read_text()), [])
