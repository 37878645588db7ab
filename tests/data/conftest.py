"""Pictures on disk, and the real data where it is."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from checkouts import PROJECT

Draw = Callable[..., np.ndarray]


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    """Writes a picture below the test's folder, and gives back its pixels; other folders are made."""
    numbers = iter(range(10**6))

    def made(name: str, width: int = 10, height: int = 10, **options: object) -> np.ndarray:
        pixels = np.random.default_rng(next(numbers)).integers(0, 256, (height, width, 3), dtype=np.uint8)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, **options)
        return pixels

    return made


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data as it is kept; it may not be redistributed, so most checkouts lack it."""
    place = Path(os.environ.get("SYNTHOOD_SHARED_DATA", PROJECT.parent / "shared" / "data"))
    if not (place / "unpack.py").is_file():
        pytest.skip(f"no real data at {place} (SYNTHOOD_SHARED_DATA names its folder)")
    return place


@pytest.fixture(scope="session")
def real_data(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layouts of real data, unpacked once for all of pytest's processes."""
    if "SYNTHOOD_UNPACKED_DATA" in os.environ:
        return Path(os.environ["SYNTHOOD_UNPACKED_DATA"])
    place = request.getfixturevalue("shared_data")
    base = tmp_path_factory.getbasetemp()
    unpacked = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "real-data"
    with FileLock(f"{unpacked}.lock"):
        if not unpacked.exists():
            started = unpacked.with_name("unpacking")
            subprocess.run([sys.executable, str(place / "unpack.py"), str(started)], check=True, capture_output=True)
            started.rename(unpacked)
    return unpacked
