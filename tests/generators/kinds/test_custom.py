"""A generator in a file of the user's: it is fitted and sampled, and refused in one sentence."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from synthood.common.images import ImageSet
from synthood.common.iterate import ResumeFile
from synthood.common.seeds import derived_seed
from synthood.errors import SynthoodError
from synthood.generators.block_settings import BlockSettings
from synthood.generators.folder import Description
from synthood.generators.kinds.custom import CustomGenerator, CustomSampling
from synthood.generators.kinds.fitting import FitTask, Fitting
from synthood.generators.kinds.sampling import Sampling
from synthood.generators.synthesise import synthesise
from synthood.workflow.code import code_of_plugin

EXAMPLE = Path(__file__).parents[3] / "examples/custom_generator/class_pca.py"
CLASSES = ["cat", "dog"]
FIT = "def fit(self, images, labels, classes, seed, folder, device):\n        "
SAMPLE = "def sample(self, folder, labels, seeds, device, level=0):\n        "
GOOD = {
    "fit": "np.save(folder / 'mean.npy', images.mean(0) + seed + self.more)",
    "sample": "return np.stack([(np.load(folder / 'mean.npy') + s % 7 + level).astype(np.uint8) for s in seeds])",
}
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A file with a class `Generator` whose methods have these bodies."""

    def file(head: str = "import numpy as np\n", **bodies: str) -> Path:
        body = GOOD | bodies
        methods = ["def __init__(self, more=0):\n        self.more = more", FIT + body["fit"], SAMPLE + body["sample"]]
        path = tmp_path / "mine.py"
        path.write_text(head + "\nclass Generator:\n    " + "\n    ".join(methods) + "\n")
        return path

    return file


@pytest.fixture
def train() -> ImageSet:
    labels = np.arange(20, dtype=np.int64) % 2
    images = np.random.default_rng(0).integers(0, 40, (20, 6, 4, 3)) + 150 * labels[:, None, None, None]
    return ImageSet(images.astype(np.uint8), labels, CLASSES)


def custom(file: Path, **keys: Any) -> CustomGenerator:
    values = {"kind": "custom", "file": str(file), "images_per_class": 3, "block_size": 4}
    return CustomGenerator.model_validate(values | keys)


def fitted(generator: CustomGenerator, train: ImageSet, folder: Path) -> Path:
    generator.part(Fitting).fit_generator(
        FitTask(train, folder, torch.float32, torch.device("cpu"), ResumeFile(None, ""))
    )
    return folder


def drawn(generator: CustomGenerator, folder: Path, block: int = 0, size: int = 4, count: int = 4) -> ImageSet:
    part = generator.part(Sampling)
    return synthesise(folder, BlockSettings(generator=part, block=block, block_size=size, count=count))


def test_a_generator_is_fitted_and_sampled(write: Write, train: ImageSet, tmp_path: Path) -> None:
    generator = custom(write(), seed=2, values={"more": 1}, sample={"seed": 5, "values": {"level": 10}})
    folder = fitted(generator, train, tmp_path / "made")
    assert Description.read(folder) == Description("custom", CLASSES, image_size=[6, 4])
    block = drawn(generator, folder, block=1, count=3).check("block")
    seeds = [derived_seed(5, "image", index) for index in (4, 5, 6)]
    assert block.labels.tolist() == [0, 1, 0]
    assert block.columns["seed"].tolist() == seeds
    for image, seed in zip(block.images, seeds, strict=True):
        assert np.array_equal(image, (train.images.mean(0) + 2 + 1 + seed % 7 + 10).astype(np.uint8))


def test_a_job_of_sampling_knows_nothing_of_the_fit(write: Write) -> None:
    generator = custom(write(), seed=2, values={"more": 1}, sample={"values": {"level": 10}})
    assert generator.part(Fitting).canonical() == (
        f'{{"file":"{generator.file}","kind":"custom","seed":2,"values":{{"more":1}}}}'
    )
    sampling = generator.part(Sampling)
    assert isinstance(sampling, CustomSampling)
    assert json.loads(sampling.canonical()).keys() == {"file", "kind", "values", "sample"}


def test_a_file_and_class_named_like_built_in_ones_shadow_nothing(
    write: Write, train: ImageSet, tmp_path: Path
) -> None:
    file = tmp_path / "numpy.py"
    file.write_text(write().read_text().replace("class Generator", "class BigGan"))
    named = {"class": "BigGan"}
    made = fitted(custom(file, **named), train, tmp_path / "made")
    expected = fitted(custom(write()), train, tmp_path / "expected")
    assert np.array_equal(drawn(custom(file, **named), made).images, drawn(custom(write()), expected).images)
    assert sys.modules["numpy"] is np


BROKEN = {
    ("fit", "images[:] = 0"): r"mine\.py: Generator\.fit: changes the images or labels that it is given; work on a c",
    ("fit", "labels.sort()"): r"mine\.py: Generator\.fit: changes the images or labels that it is given",
    ("fit", "(folder / 'synthood.json').write_text('{}')"): r"Generator\.fit: writes synthood\.json, a name that is ta",
    ("fit", "1 / 0"): r"mine\.py: Generator\.fit: ZeroDivisionError: division by zero \(line 7\)",
    ("sample", "raise SystemExit(0)"): r"mine\.py: Generator\.sample: SystemExit: 0 \(line 9\)",
    ("sample", "labels[:] = 0"): r"Generator\.sample: changes the labels or seeds that it is given",
    ("sample", "seeds += 1"): r"Generator\.sample: changes the labels or seeds that it is given",
    ("sample", "(folder / 'more').write_text('')"): r"Generator\.sample: changes .*made, which only fit may write",
    ("sample", "(folder / 'mean.npy').write_bytes(b'')"): r"Generator\.sample: changes .*made, which only fit may w",
    ("sample", "pass"): r"must return a numpy array uint8 \[4, 6, 4, 3\], got NoneType",
    ("sample", "return [np.zeros((6, 4, 3), np.uint8)] * 4"): r"must return a numpy array uint8 .*, got list",
    ("sample", "return np.zeros((3, 6, 4, 3), np.uint8)"): r"uint8 \[4, 6, 4, 3\], got uint8 \[3, 6, 4, 3\]",
    ("sample", "return np.zeros((4, 3, 6, 4), np.uint8)"): r"uint8 \[4, 6, 4, 3\], got uint8 \[4, 3, 6, 4\]",
    ("sample", "return np.zeros((4, 6, 4, 3))"): r"uint8 \[4, 6, 4, 3\], got float64 \[4, 6, 4, 3\]",
    ("sample", "return np.full((4, 6, 4, 3), np.nan)"): r"got float64 \[4, 6, 4, 3\] with 288 values that are not fin",
    ("sample", "import torch; return torch.zeros((4, 6, 4, 3))"): r"uint8 .*, got Tensor \[4, 6, 4, 3\]",
}


@pytest.mark.parametrize(("method", "body"), BROKEN)
def test_a_broken_generator_is_reported(write: Write, train: ImageSet, tmp_path: Path, method: str, body: str) -> None:
    generator = custom(write(**{method: body}))
    with pytest.raises(SynthoodError, match=BROKEN[method, body]):
        drawn(generator, fitted(generator, train, tmp_path / "made"))


UNUSABLE = {
    "class Other: ...": r"mine\.py: has no function 'Generator'",
    "def Generator(): ...": r"mine\.py: Generator: expected a class with methods fit and sample, got function",
    "1 / 0": r"mine\.py: ZeroDivisionError: division by zero \(line 1\)",
    "class Generator(": r"mine\.py: SyntaxError: .*mine\.py, line 1\)",
    "class Generator: ...": r"mine\.py: Generator: has no method fit\(images, labels, classes, seed, folder, device\)",
    "class Generator:\n    def fit(self, images): ...": r"Generator: fit must take images, labels, .*\(line 2\)",
    "class Generator:\n    def fit(self, **all): ...": r"has no method sample\(folder, labels, seeds, device\)",
    "class Generator:\n    def fit(self, **all): ...\n    sample = 1": r"has no method sample\(folder, labels, seeds",
    "class Generator:\n    def __init__(self): self.x": r"Generator: AttributeError: .*'x' \(line 2\)",
}


@pytest.mark.parametrize("text", UNUSABLE)
def test_a_file_that_cannot_be_used_is_reported_without_data(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(text + "\n")
    with pytest.raises(SynthoodError, match=UNUSABLE[text]):
        custom(file).dry_run()


def test_values_that_the_class_does_not_take_are_reported(write: Write) -> None:
    file = write()
    custom(file, values={"more": 1}, sample={"values": {"level": 2}}).dry_run()
    with pytest.raises(SynthoodError, match=r"mine\.py: Generator: TypeError: .*unexpected keyword argument 'mroe'"):
        custom(file, values={"mroe": 1}).dry_run()
    with pytest.raises(SynthoodError, match=r"Generator: sample must take .*, lvl: .*'lvl' \(line 8\)"):
        custom(file, sample={"values": {"lvl": 2}}).dry_run()


def test_the_file_and_its_neighbours_are_part_of_both_digests(write: Write, tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("SCALE = 2\n")
    generator = custom(write("import numpy as np\nfrom .helper import SCALE\n"))
    parts = [generator.part(Fitting), generator.part(Sampling)]
    before = [code_of_plugin(part) for part in parts]
    (tmp_path / "helper.py").write_text("SCALE = 2  # two\n")
    assert [code_of_plugin(part) for part in parts] == before
    (tmp_path / "helper.py").write_text("SCALE = 3\n")
    assert all(code_of_plugin(part) != old for part, old in zip(parts, before, strict=True))


def test_the_example_has_the_moments_of_probabilistic_pca(train: ImageSet, tmp_path: Path) -> None:
    """Mean and covariance W W' + sigma^2 of the drawn pixels, by class; with all components, those of the data."""
    generator = custom(EXAMPLE, **{"class": "ClassPca", "values": {"components": 3}})
    folder = fitted(generator, train, tmp_path / "made")
    model = np.load(folder / "1.npz")
    pixels = train.images[train.labels == 1].reshape(10, -1).astype(float)
    values, axes = np.linalg.eigh(np.cov(pixels.T, bias=True))
    rest = values[:-3].sum() / (72 - 3)
    expected = axes[:, -3:] @ np.diag(values[-3:] - rest) @ axes[:, -3:].T
    np.testing.assert_allclose(model["mean"], pixels.mean(0))
    np.testing.assert_allclose(model["weights"].T @ model["weights"], expected, atol=1e-8)
    assert float(model["deviation"]) ** 2 == pytest.approx(rest)
    made = drawn(generator, folder, size=800, count=800)
    for label in (0, 1):
        own = made.images[made.labels == label].reshape(400, -1).astype(float)
        real = train.images[train.labels == label].reshape(10, -1).astype(float)
        assert np.abs(own.mean(0) - real.mean(0)).max() < 3
        assert own.var(0).sum() == pytest.approx(real.var(0).sum(), rel=0.1)


def test_an_image_of_the_example_follows_from_its_seed_alone(train: ImageSet, tmp_path: Path) -> None:
    generator = custom(EXAMPLE, **{"class": "ClassPca"})
    folder = fitted(generator, train, tmp_path / "made")
    assert np.array_equal(drawn(generator, folder, 1, 2, 2).images, drawn(generator, folder, 0, 4, 4).images[2:])
