"""Key paths and sentences behind the messages."""

from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError

from synthood.common.settings import Settings
from synthood.config.messages import MistakeError, format_errors, locate, nearest
from synthood.config.models import Config
from synthood.data.sources.digits import Digits, Nuisance
from synthood.generators.biggan.settings import BigGANFit
from synthood.training.settings import Synthetic


class Round(Settings):
    kind: Literal["round"]
    radius: int = 1


class Square(Settings):
    kind: Literal["square", "oblong"]
    sides: Annotated[list[int], Field(min_length=2)] = [1, 1]
    inner: "Annotated[Round | Square, Field(discriminator='kind')] | None" = None


Shape = Annotated[Round | Square, Field(discriminator="kind")]


class Drawing(Settings):
    shapes: dict[str, Shape] = {}
    pile: list[Shape] = []
    top: Shape | None = None
    away: Annotated[str | None, Field(alias="from")] = None


def mistakes(raw):
    with pytest.raises(ValidationError) as caught:
        Drawing.model_validate(raw)
    return [str(mistake) for mistake in format_errors(caught.value, Drawing)]


def test_nearest_names_the_closest_or_all():
    assert nearest("epoch", ["warmup", "epochs"]) == "; did you mean 'epochs'? (known: epochs, warmup)"
    assert nearest("xyz", ["warmup", "epochs"]) == " (known: epochs, warmup)"
    assert nearest("xyz", []) == " (known: none)"
    assert nearest("resnet188", [f"resnet{depth}" for depth in range(18, 200)]) == "; did you mean 'resnet188'?"


def test_a_mistake_shows_its_path_unless_it_has_none():
    assert str(MistakeError("a.b", "is wrong")) == "a.b: is wrong"
    assert str(MistakeError("", "is wrong")) == "is wrong"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"shapes": {"a": {"kind": "round", "radiu": 1}}}, "shapes.a.radiu: unknown key; did you mean 'radius'?"),
        ({"shapes": {"round": {"kind": "round", "radiu": 1}}}, "shapes.round.radiu: unknown key; did you mean"),
        ({"shapes": {"square": {"kind": "round", "radius": "x"}}}, "shapes.square.radius: input should be a valid int"),
        ({"pile": [{"kind": "round"}, {"kind": "square", "side": []}]}, "pile.1.side: unknown key; did you mean"),
        ({"top": {"kind": "oblong", "sides": [1, "x"]}}, "top.sides.1: input should be a valid integer, got 'x'"),
        (
            {"top": {"kind": "square", "inner": {"kind": "round", "radius": 1.5}}},
            "top.inner.radius: input should be a valid integer",
        ),
        ({"top": {"kind": "rond"}}, "top: unknown kind 'rond'; did you mean 'round'? (known: oblong, round, square)"),
        ({"top": {}}, "top: the key `kind` is missing"),
        ({"from": 3}, "from: input should be a valid string, got 3"),
        ({"form": "x"}, "form: unknown key; did you mean 'from'? (known: from, pile, shapes, top)"),
        ({"pile": {}}, "pile: input should be a valid list, got {}"),
    ],
)  # fmt: skip
def test_paths_have_no_union_tags(raw, expected):
    found = mistakes(raw)
    assert len(found) == 1
    assert found[0].startswith(expected)


def test_a_stray_key_with_the_name_of_the_kind_has_no_tag_either():
    assert mistakes({"top": {"kind": "round", "round": 3}})[0].startswith("top.round: unknown key")


def test_a_list_of_one_is_not_called_empty():
    assert "empty" not in mistakes({"top": {"kind": "square", "sides": [1]}})[0]


def test_one_sentence_per_path_in_the_order_of_the_file():
    found = mistakes({"top": {"kind": "round", "radius": "x", "extra": 1}, "shapes": {"a": {"kind": "none"}}})
    assert [line.split(":")[0] for line in found] == ["shapes.a", "top.radius", "top.extra"]


@pytest.mark.parametrize(
    ("location", "path", "owner"),
    [
        (("generators", "biggan", "biggan", "fit", "stpes"), "generators.biggan.fit.stpes", BigGANFit),
        (("generators", "mine", "biggan", "fit", "stpes"), "generators.mine.fit.stpes", BigGANFit),
        (("datasets", "d", "far", "noise", "digits", "clases"), "datasets.d.far.noise.clases", Digits),
        (("datasets", "d", "id", "nuisance", "rotaton"), "datasets.d.id.nuisance.rotaton", Nuisance),
        (("recipes", "r", "synthetic", "from"), "recipes.r.synthetic.from", Synthetic),
        (("recipes", "a b", "[key]"), "recipes.a b", None),
        (("detektors",), "detektors", Config),
        (("build", 0), "build.0", None),
    ],
)
def test_locations_become_key_paths_with_the_owner_of_the_last_key(location, path, owner):
    found, found_owner = locate(Config, location)
    assert ".".join(map(str, found)) == path
    assert found_owner is owner
