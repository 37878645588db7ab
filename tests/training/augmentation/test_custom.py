"""An augmentation in a file of the user's: its formula, its draws, and what is refused in one sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from synthood.errors import SynthoodError
from synthood.training.augmentation.custom import CustomAugmentation
from synthood.training.augmentation.settings import Augmentation
from synthood.workflow.code import code_of_plugin, digests_in
from toy_training import random

EXAMPLE = Path(__file__).parents[3] / "examples/custom_augmentation/patch_gaussian.py"
Make = Callable[..., CustomAugmentation]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A function with this body, in a file that may begin otherwise."""

    def of(body: str = "return images", head: str = "import torch\n", **settings: Any) -> CustomAugmentation:
        file = tmp_path / "mine.py"
        file.write_text(f"{head}def change(images, random, share=1.0):\n    {body}\n")
        return CustomAugmentation.model_validate({"file": str(file), "function": "change"} | settings)

    return of


def test_the_example_adds_noise_within_a_square() -> None:
    settings = CustomAugmentation(file=str(EXAMPLE), function="patch_gaussian", values={"side": 3, "deviation": 0.1})
    images = torch.full((400, 3, 6, 8), 0.5)
    found = settings.prepared(6, 8, 0, torch.device("cpu"))(images, random(1))
    holes = (found != images).any(1)
    allowed = set()
    for row in range(6):
        for column in range(8):
            rows, columns = range(row - 1, row + 2), range(column - 1, column + 2)
            allowed.add(tuple(y in rows and x in columns for y in range(6) for x in range(8)))
    assert {tuple(hole.flatten().tolist()) for hole in holes} == allowed
    noise = (found - images)[holes[:, None].expand_as(found)]
    assert float(noise.mean()) == pytest.approx(0, abs=0.003)
    assert float(noise.std()) == pytest.approx(0.1 / 3**0.5, abs=0.005)  # of a deviation uniform up to 0.1
    settings.dry_run(32)


def test_it_acts_after_the_other_operations_on_pixels_and_before_shift(make: Make) -> None:
    custom = make("return (images + share * torch.rand(len(images), 1, 1, 1, generator=random)).clamp(0, 1)")
    settings = Augmentation(custom=custom, flip=True, randaugment={"operations": 1})
    assert [step.key for step in settings.steps] == ["randaugment", "custom", "flip"]
    images = torch.randint(256, (5, 4, 4, 3), generator=random(), dtype=torch.uint8)
    prepared = settings.prepared(lambda pixels: pixels.permute(0, 3, 1, 2) / 255, 4, 4, 0, torch.device("cpu"))
    source, pixels = random(7), images.permute(0, 3, 1, 2) / 255
    first, _, last = settings.steps
    pixels = first.changed(pixels, source)
    pixels = (pixels + torch.rand(5, 1, 1, 1, generator=source)).clamp(0, 1)
    torch.testing.assert_close(prepared(images, random(7)), last.changed(pixels, source))
    assert list(digests_in(settings)) == ["flip", "randaugment", "custom"]


def test_a_class_is_made_once_and_bytes_are_given_where_they_are_asked_for(make: Make) -> None:
    head = (
        "class Add:\n    def __init__(self, by):\n        self.by = by\n"
        "    def __call__(self, images, random):\n        return images + self.by\n\n"
    )
    settings = make(head=head, function=None, values={"by": 5}, pixels="uint8", **{"class": "Add"})
    change = settings.prepared(2, 2, 0, torch.device("cpu"))
    torch.testing.assert_close(
        change(torch.full((2, 3, 2, 2), 100 / 255), random()), torch.full((2, 3, 2, 2), 105 / 255)
    )


BROKEN = {
    "no tensor": ("return None", r"must give a tensor, got NoneType"),
    "shape": (
        "return images[:, :1]",
        r"must give images float32 \[4, 3, 8, 8\] on cpu, got float32 \[4, 1, 8, 8\] on cpu",
    ),
    "dtype": ("return images.double()", r"must give images float32 .*, got float64 .* on cpu"),
    "range": ("return images + 1", r"must give pixels in \[0,1\], got 1\.\d+ to [12][.\d]*; clamp them"),
    "not finite": ("return images / 0", r"must give pixels in \[0,1\], got (nan|inf) to (nan|inf); clamp them"),
    "changes its input": ("return images.mul_(0.5)", "changes its input, which others see; work on a copy"),
    "not repeatable": ("return torch.rand_like(images)", "differs between two calls with one state of the generator"),
    "raises": ("return image", r"NameError: name 'image' is not defined \(line 3\)"),
    "sets threads": ("torch.set_default_dtype(torch.float64); return images", "changes torch's default dtype"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_augmentation_is_reported_with_its_file(make: Make, name: str) -> None:
    body, message = BROKEN[name]
    try:
        with pytest.raises(SynthoodError, match=rf"mine\.py: change: {message}"):
            make(body).dry_run(8)
    finally:
        torch.set_default_dtype(torch.float32)


def test_what_it_gives_is_checked_at_every_step(make: Make) -> None:
    change = make("return images if images.mean() < 0.5 else images + 1").prepared(2, 2, 0, torch.device("cpu"))
    change(torch.zeros(1, 3, 2, 2), random())
    with pytest.raises(SynthoodError, match=r"must give pixels in \[0,1\]"):
        change(torch.ones(1, 3, 2, 2), random())


def test_what_cannot_be_called_is_reported(make: Make, tmp_path: Path) -> None:
    with pytest.raises(SynthoodError, match=r"mine\.py: ZeroDivisionError: division by zero \(line 1\)"):
        make(head="1 / 0\n").dry_run(8)
    with pytest.raises(SynthoodError, match=r"mine\.py: change: TypeError: .*unexpected keyword argument 'shaer'"):
        make(values={"shaer": 1}).dry_run(8)
    with pytest.raises(SynthoodError, match=r"mine\.py: change: TypeError: .*multiple values for argument 'images'"):
        make(values={"images": 1}).dry_run(8)
    with pytest.raises(SynthoodError, match=r"mine\.py: has no function 'chagne'"):
        make(function="chagne").dry_run(8)
    with pytest.raises(SynthoodError, match=r"mine\.py: Empty: its objects must be callable"):
        make(head="class Empty: ...\n", function=None, **{"class": "Empty"}).dry_run(8)
    with pytest.raises(SynthoodError, match=r"none\.py: not found"):
        CustomAugmentation(file=str(tmp_path / "none.py"), function="change").dry_run(8)
    with pytest.raises(ValidationError, match="name a function or a class"):
        CustomAugmentation(file="mine.py")


def test_the_file_and_its_neighbours_are_part_of_the_digest(make: Make, tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("SHARE = 0.5\n")
    settings = make("return images * SHARE", head="from .helper import SHARE\n")
    settings.dry_run(8)
    before = code_of_plugin(settings)
    (tmp_path / "helper.py").write_text("SHARE = 0.6\n")
    assert code_of_plugin(settings) != before
