"""Blocks of synthetic images, and settings that say how many there are."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_pretrained_biggan import BigGAN
from torch import Tensor

from synthood.common.seeds import derived_seed
from synthood.errors import SynthoodError
from synthood.generators.biggan import network as biggan
from synthood.generators.biggan.settings import BigGANSample
from synthood.generators.block_settings import BlockSettings
from synthood.generators.diffusion import miniature, pipelines
from synthood.generators.diffusion import sampling as diffusion_sampling
from synthood.generators.diffusion.samplers.dpm_solver import StableDiffusionSample
from synthood.generators.diffusion.settings import StableDiffusionFit
from synthood.generators.folder import DESCRIPTION, Description
from synthood.generators.kinds.base import ImageGenerator
from synthood.generators.kinds.biggan import BigGANSampling
from synthood.generators.kinds.stable_diffusion import StableDiffusionSampling
from synthood.generators.synthesise import main, synthesise

CLASSES = ["one", "two", "six"]
BIGGAN = BigGANSampling(kind="biggan", sample=BigGANSample(truncation=0.75, seed=4))
DIFFUSION = StableDiffusionSampling(
    kind="stable-diffusion", sample=StableDiffusionSample(steps=1, batch_size=4, seed=4)
)


@pytest.fixture(scope="module")
def biggan_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("biggan")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(biggan, "STATISTICS_BATCH", 6)
        network = biggan.build(3, 4, 8, seed=0).eval()
        biggan.store_truncation_statistics(network, 0)
    biggan.save(network, folder)
    Description("biggan", CLASSES).write(folder)
    return folder


@pytest.fixture(scope="module")
def diffusion_folder(tmp_path_factory: pytest.TempPathFactory, diffusion_settings: StableDiffusionFit) -> Path:
    folder = tmp_path_factory.mktemp("diffusion")
    prompts = [f"a photo of the digit {word}" for word in CLASSES]
    pipelines.save(miniature.build(prompts, 16, diffusion_settings), folder)
    Description("stable-diffusion", CLASSES, "a photo of the digit {word}").write(folder)
    return folder


def block(sampling: BigGANSampling | StableDiffusionSampling, number: int, size: int, count: int) -> BlockSettings:
    return BlockSettings(generator=sampling, block=number, block_size=size, count=count)


@pytest.mark.parametrize("number", [0, 2])
def test_classes_and_seeds_of_a_block(biggan_folder: Path, number: int) -> None:
    made = synthesise(biggan_folder, block(BIGGAN, number, 5, 5)).check("block")
    indices = range(5 * number, 5 * number + 5)
    assert made.labels.tolist() == [index % 3 for index in indices]
    assert made.classes == CLASSES
    assert made.columns["seed"].tolist() == [derived_seed(4, "image", index) for index in indices]


def test_block_limits_hardly_show(biggan_folder: Path) -> None:
    """Image i is the same in blocks of any size, up to a grey level."""
    large = synthesise(biggan_folder, block(BIGGAN, 0, 6, 6)).images.astype(int)
    small = synthesise(biggan_folder, block(BIGGAN, 1, 3, 3)).images.astype(int)
    assert np.abs(large[3:] - small).max() <= 1


@pytest.mark.parametrize("kind", ["biggan", "stable-diffusion"])
def test_a_cut_block_is_the_beginning_of_the_whole(biggan_folder: Path, diffusion_folder: Path, kind: str) -> None:
    """Bit by bit."""
    folder, sampling = (biggan_folder, BIGGAN) if kind == "biggan" else (diffusion_folder, DIFFUSION)
    whole, cut = (synthesise(folder, block(sampling, 1, 6, count)) for count in (6, 2))
    assert len(whole) == 6
    assert np.array_equal(cut.images, whole.images[:2])
    assert cut.labels.tolist() == whole.labels[:2].tolist() == [0, 1]
    assert cut.columns["seed"].tolist() == whole.columns["seed"][:2].tolist()
    assert len({image.tobytes() for image in whole.images}) == 6


def test_a_cut_block_is_computed_whole(biggan_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network's last bits may depend on the size of a batch, whatever this machine does."""
    sizes, real = [], biggan.sample

    def spy(network: BigGAN, labels: Tensor, seeds: list[int], truncation: float, *more: Any) -> Tensor:
        sizes.append((len(labels), len(seeds)))
        return real(network, labels, seeds, truncation, *more)

    monkeypatch.setattr(biggan, "sample", spy)
    assert len(synthesise(biggan_folder, block(BIGGAN, 1, 6, 2))) == 2
    assert sizes == [(6, 6)]


def test_an_interrupted_block_is_made_anew(
    diffusion_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken off after a batch it leaves nothing; the same command then writes what an undisturbed one does."""
    output = tmp_path / "block.safetensors"
    settings = block(DIFFUSION, 0, 6, 6).canonical()
    command = ["--settings", settings, "--generator", str(diffusion_folder), "--output"]
    real, batches = diffusion_sampling.one_batch, []

    def broken(*arguments: Any) -> Tensor:
        batches.append(arguments)
        if len(batches) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(diffusion_sampling, "one_batch", broken)
        with pytest.raises(SystemExit):
            main([*command, str(output)])
    assert [file for file in tmp_path.iterdir() if not file.name.endswith(".lock")] == []
    main([*command, str(output)])
    main([*command, str(tmp_path / "undisturbed.safetensors")])
    assert output.read_bytes() == (tmp_path / "undisturbed.safetensors").read_bytes()


def test_sampling_seed_and_truncation_count(biggan_folder: Path) -> None:
    first = synthesise(biggan_folder, block(BIGGAN, 0, 3, 3))
    for sample in (BigGANSample(truncation=0.75, seed=5), BigGANSample(truncation=0.5, seed=4)):
        other = synthesise(biggan_folder, block(BigGANSampling(kind="biggan", sample=sample), 0, 3, 3))
        assert not np.array_equal(other.images, first.images)


def test_another_kind_of_generator_is_an_error(biggan_folder: Path) -> None:
    with pytest.raises(SynthoodError, match="holds a biggan, the settings ask for stable-diffusion"):
        synthesise(biggan_folder, block(DIFFUSION, 0, 3, 3))


def test_a_folder_that_is_no_generator_is_named(tmp_path: Path) -> None:
    with pytest.raises(SynthoodError, match=f"no {DESCRIPTION} in it"):
        synthesise(tmp_path, block(BIGGAN, 0, 3, 3))
    with pytest.raises(SynthoodError, match="nowhere: not found"):
        synthesise(tmp_path / "nowhere", block(BIGGAN, 0, 3, 3))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.integers(1, 50), st.integers(1, 12))
def test_blocks_add_up_and_only_the_last_is_cut(per_class: int, size: int, classes: int) -> None:
    counts = ImageGenerator(kind="any", images_per_class=per_class, block_size=size).block_counts(classes)
    assert sum(counts) == per_class * classes
    assert all(count == size for count in counts[:-1])
    assert 1 <= counts[-1] <= size
