"""What images were before preparation, and which differences between two sets are reported."""

import numpy as np
import pytest

from synthood.common.image_facts import ImageFacts, are_grey, difference_note, differences, history

RANDOM = np.random.default_rng(0)
COLOURS = RANDOM.integers(0, 256, (60, 9, 9, 3), dtype=np.uint8)
GREY = np.repeat(COLOURS[..., :1], 3, axis=3)


@pytest.mark.parametrize(
    ("before", "size", "resize", "expected"),
    [
        ((28, 28), 32, None, (28, "shorter side to 32 px, bilinear")),
        ((500, 375), 64, None, (64, "shorter side to 64 px, bilinear")),
        ((500, 375), 224, 256, (224, "shorter side to 256 px, bilinear")),
        ((240, 320), 224, 256, (210, "shorter side to 256 px, bilinear")),  # 240 px became 256, of which 224 stay
        ((40, 32), 32, None, (32, "none")),  # only cut
        ((32, 32), 32, None, (32, "none")),
        ((40, 30), None, None, (30, "none")),
    ],
)
def test_the_native_size_is_the_smallest_that_the_content_had(before, size, resize, expected):
    assert history(*before, size, resize) == expected


def test_grey_is_what_has_three_equal_channels():
    mixed = np.concatenate([GREY[:2], COLOURS[:1]])
    mixed[1, 4, 4, 2] ^= 1  # one pixel
    assert are_grey(mixed).tolist() == [True, False, False]
    assert bool(are_grey(mixed[0]))
    assert ImageFacts.of(mixed, 9, "PNG").modes == {"grey": 1, "RGB": 2}


def test_grey_28_px_images_differ_from_colours_of_32_px():
    ids = ImageFacts.of(COLOURS, 32, "array")
    digits = ImageFacts.of(GREY, 28, "array", "shorter side to 32 px, bilinear")
    assert differences(ids, digits) == [
        "native size (28 px against 32 px)",
        "channels (grey against RGB)",
        "resizing (shorter side to 32 px, bilinear against none)",
    ]
    assert difference_note("mnist", ids, digits) == (
        "mnist differs from the ID images in native size (28 px against 32 px), channels (grey against RGB) and "
        "resizing (shorter side to 32 px, bilinear against none): it may be detected for that reason."
    )
    assert difference_note("test", ids, digits).startswith("test differs from the training images in native size")
    assert differences(ids, ids) == []
    assert difference_note("same", ids, ids) == ""


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        ("JPEG", "PNG", ["format (JPEG against PNG)"]),
        ("WEBP", "JPEG", ["format (WEBP against JPEG)"]),
        ("WEBP, lossless", "PNG", []),
        ("array", "PNG", []),
        ("computed", "array", []),
    ],
)
def test_formats_differ_by_what_they_do_to_pixels(one, other, found):
    assert differences(ImageFacts.of(COLOURS, 9, other), ImageFacts.of(COLOURS, 9, one)) == found


def several(**shares):
    facts = ImageFacts()
    for form, count in shares.items():
        for _ in range(count):
            facts.add(9, False, form, "none")
    return facts


def test_a_difference_concerns_a_tenth_of_the_images_and_is_more_than_chance():
    ids = several(JPEG=10_000)
    assert differences(ids, several(JPEG=9100, PNG=900)) == []
    assert differences(ids, several(JPEG=8900, PNG=1100)) == ["format (JPEG 89 %, PNG 11 % against JPEG)"]
    assert differences(several(JPEG=18, PNG=2), several(JPEG=14, PNG=6)) == []  # of 20 images each
    assert differences(several(JPEG=1), several(PNG=1)) == ["format (PNG against JPEG)"]


def test_many_native_sizes_are_summarised():
    ids, far = ImageFacts(), ImageFacts()
    for side in range(20, 65):
        ids.add(side, False, "JPEG", "none")
        far.add(side - 12, False, "JPEG", "none")
    for _ in range(200):
        far.add(64, False, "JPEG", "none")
        ids.add(64, False, "JPEG", "none")
    assert differences(ids, far) == []  # at most 24 of 245 images have moved past a size
    far.native = far.native - far.native.__class__({64: 190})
    assert differences(ids, far) == ["native size (8 to 64 px, median 35 against 20 to 64 px, median 64)"]


def test_facts_go_through_a_header():
    facts = several(JPEG=3, PNG=2)
    facts.native[7] = 2
    header = facts.header()
    assert header == {
        "native": {"7": 2, "9": 5},
        "modes": {"RGB": 5},
        "formats": {"JPEG": 3, "PNG": 2},
        "resize": {"none": 5},
    }
    assert ImageFacts.read({"facts": header}) == facts
    assert ImageFacts.read({"classes": []}) is None
    assert str(facts) == "native size 7 to 9 px, median 9; channels RGB; format JPEG 60 %, PNG 40 %; resizing none"
