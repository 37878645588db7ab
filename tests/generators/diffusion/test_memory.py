"""Batches of one size, halved where memory runs out."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from synthood.errors import SynthoodError
from synthood.generators.diffusion import sampling
from synthood.generators.diffusion.memory import filled_batches, halving
from synthood.generators.diffusion.samplers.dpm_solver import FastSample
from toy_checkpoints import stable_diffusion_1


@given(st.integers(1, 40), st.integers(1, 12))
def test_batches_are_full_and_hold_every_index_in_order(count: int, size: int) -> None:
    batches = filled_batches(count, size)
    assert {len(batch) for batch in batches} == {size}
    indices = [index for batch in batches for index in batch]
    assert indices[:count] == [*range(count)]
    assert len(indices) - count < size
    assert indices[count:] == [index % count for index in range(count, len(indices))]


@pytest.mark.parametrize(
    ("size", "fits", "sizes"),
    [
        (1, 1, [1]),
        (64, 64, [64]),
        (5, 64, [5]),
        (64, 63, [64, 32]),
        (63, 15, [63, 31, 15]),
        (40, 9, [40, 20, 10, 5]),
        (64, 1, [64, 32, 16, 8, 4, 2, 1]),
    ],
)
def test_halved_until_it_fits(size: int, fits: int, sizes: list[int]) -> None:
    tried = []

    def work(now: int) -> int:
        tried.append(now)
        if now > fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return now

    assert halving("sampling", size, work) == sizes[-1]
    assert tried == sizes


def test_other_errors_are_not_taken_for_want_of_memory() -> None:
    with pytest.raises(RuntimeError, match="shapes"):
        halving("sampling", 4, lambda size: (_ for _ in ()).throw(RuntimeError("shapes cannot be multiplied")))


def limited(monkeypatch: pytest.MonkeyPatch, pipeline: object, most: int) -> None:
    """A U-Net on a device whose memory holds `most` inputs, two of an image with guidance."""
    network = pipeline.unet  # type: ignore[attr-defined]
    real = network.forward

    def forward(inputs: torch.Tensor, *rest: object, **more: object) -> object:
        if len(inputs) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return real(inputs, *rest, **more)

    monkeypatch.setattr(network, "forward", forward)


def test_sampling_halves_and_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """All images come from batches of the size that fits, as if it had been asked for."""
    pipeline = stable_diffusion_1()
    prompts, seeds = ["a photo of the cat"] * 5, [*range(5)]
    settings = FastSample(sampler="fast", steps=2, batch_size=8)
    wanted = sampling.sample(pipeline, prompts, seeds, settings.model_copy(update={"batch_size": 2}))
    limited(monkeypatch, pipeline, 4)
    assert torch.equal(sampling.sample(pipeline, prompts, seeds, settings), wanted)
    told = capsys.readouterr().out
    assert "sampling: out of memory; again with batches of 4" in told
    assert "sampling: out of memory; again with batches of 2" in told
    limited(monkeypatch, pipeline, 1)
    with pytest.raises(SynthoodError, match="out of memory even one image at a time; take a smaller `size`"):
        sampling.sample(pipeline, prompts, seeds, settings)
