"""Images that are decoded while training goes on: the same batches, in bounded memory."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from synthood.common.encoded import EncodedImages, open_encoded, write_encoded
from synthood.common.images import ImageSet, OpenSet, open_set, write_images
from synthood.common.iterate import ResumeFile
from synthood.errors import SynthoodError
from synthood.training.feed import JoinedImages, Resident, Streamed, feed, joined_sets, room
from synthood.training.fit import train
from synthood.training.networks.model import channel_statistics
from synthood.training.settings import Synthetic, TrainSettings

CPU = torch.device("cpu")
HALF = Synthetic.model_validate({"from": "g", "alpha": 0.5})


def encoded(path: Path, images: ImageSet) -> OpenSet:
    """The set as one of large images is stored."""
    write_encoded(path, images.images, 1, lambda: (images.labels, {"classes": images.classes}))
    return open_set(path)


def mapped(path: Path, images: ImageSet) -> OpenSet:
    write_images(path, images)
    return open_set(path)


def rows_of(step: int) -> torch.Tensor:
    return torch.tensor([step, 11 - step, step, 7])


@pytest.mark.parametrize("options", [{}, {"on_nan": "rollback", "weight_average": 0.5}], ids=["plain", "options"])
@pytest.mark.parametrize("threads", [1, 3])
def test_streamed_images_train_to_the_same_bytes(
    make_images: Any, make_settings: Any, tmp_path: Path, threads: int, options: dict[str, Any]
) -> None:
    """Real images encoded; synthetic ones in two blocks, one of which is encoded."""
    real, validation, synthetic = make_images(20, 0), make_images(9, 1), make_images(7, 2)
    blocks = [ImageSet(synthetic.images[a:b], synthetic.labels[a:b], real.classes) for a, b in ((0, 3), (3, 7))]
    settings: TrainSettings = make_settings(synthetic=HALF, **options)
    nothing = ResumeFile(None, "")
    plain, _, history = train(settings, 0, real, validation, synthetic, CPU, nothing)
    opened = encoded(tmp_path / "real", real)
    made = joined_sets([mapped(tmp_path / "0", blocks[0]), encoded(tmp_path / "1", blocks[1])])
    streamed, _, same = train(
        settings,
        0,
        opened,
        encoded(tmp_path / "validation", validation),
        made,
        CPU,
        nothing,
        threads=threads,
        memory=1,
    )
    assert isinstance(opened.images, EncodedImages)
    assert history == same
    for key, value in plain.network.state_dict().items():
        assert torch.equal(value, streamed.network.state_dict()[key]), key


def test_what_fits_is_resident_and_what_does_not_is_streamed(
    make_images: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    images = make_images(12, 0).images
    assert isinstance(feed([images], rows_of, 3, CPU, 1, memory=2 * images.nbytes), Resident)
    assert capsys.readouterr().out == ""
    assert isinstance(feed([images], rows_of, 3, CPU, 1, memory=2 * images.nbytes - 2), Streamed)
    assert "images are decoded as they are needed" in capsys.readouterr().out
    assert room(CPU, 10) == 5
    assert room(CPU) == room(CPU, 1 << 60)


def test_both_feeds_give_the_chosen_images(make_images: Any) -> None:
    images, others = make_images(8, 0).images, make_images(4, 1).images
    whole = np.concatenate([images, others])
    joined = JoinedImages([images, JoinedImages([others])])
    assert joined.shape == whole.shape
    assert all(np.array_equal(joined[index], whole[index]) for index in range(12))
    for given in (Resident(joined, CPU), Streamed(joined, rows_of, 6, CPU, 2)):
        for step in (0, 1, 2, 1, 5):  # one goes back, one leaps
            rows = rows_of(step)
            assert np.array_equal(given(step, rows).numpy(), whole[rows.numpy()])


class Counted(JoinedImages):
    """Tells which images were asked for."""

    def __init__(self, images: np.ndarray) -> None:
        super().__init__([images])
        self.asked: list[int] = []
        self.lock = threading.Lock()

    def __getitem__(self, index: int) -> np.ndarray:
        with self.lock:
            self.asked.append(index)
        return super().__getitem__(index)


def test_few_batches_are_decoded_ahead(make_images: Any) -> None:
    images = Counted(make_images(64, 0).images)
    given = Streamed(images, lambda step: torch.arange(4) + 4 * step, 16, CPU, 2)
    for step in range(16):
        given(step, torch.arange(4) + 4 * step)
        assert len(given.waiting) <= given.ahead == 3
        for _, future in given.waiting:
            future.result()
        assert sorted(images.asked) == list(range(4 * min(16, step + 1 + given.ahead)))


def test_a_damaged_image_is_told(make_images: Any, tmp_path: Path) -> None:
    images = make_images(12, 0)
    write_encoded(tmp_path / "real", images.images, 1, lambda: (images.labels, {"classes": images.classes}))
    found, _, _ = open_encoded(tmp_path / "real")
    data = np.array(found.data)
    data[found.offsets[3] : found.offsets[3] + 30] = 0
    broken = EncodedImages(data, found.offsets, (8, 8))
    given = Streamed(JoinedImages([broken]), rows_of, 6, CPU, 1)
    given(2, rows_of(2))
    with pytest.raises(SynthoodError, match="image 3 of an image set is damaged"):
        given(3, rows_of(3))


def test_sets_that_cannot_be_joined(make_images: Any) -> None:
    for other in (make_images(4, 0, classes=["a", "b"]), make_images(4, 0, side=10)):
        with pytest.raises(SynthoodError, match="image sets of different classes or sizes cannot be joined"):
            joined_sets([make_images(4, 0), other])


def test_statistics_of_images_by_hand(make_images: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = make_images(20, 0)
    pixels = images.images.reshape(-1, 3) / 255
    mean, deviation = channel_statistics(images.images)
    assert mean == pytest.approx(pixels.mean(0), abs=1e-6)
    assert deviation == pytest.approx(pixels.std(0), abs=1e-6)
    opened = encoded(tmp_path / "real", images).images
    assert channel_statistics(opened) == (mean, deviation)
    monkeypatch.setattr("synthood.training.networks.model.MOST_PIXELS", 64 * 3)
    assert channel_statistics(opened) == channel_statistics(images.images[[0, 10, 19]])
    assert channel_statistics(np.zeros((2, 4, 4, 3), np.uint8)) == ([0.0] * 3, [0.001] * 3)
