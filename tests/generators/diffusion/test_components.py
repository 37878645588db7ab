"""A checkpoint's folder names known classes alone, and nothing in it is run before that is known."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from synthood.errors import SynthoodError
from synthood.generators.diffusion import pipelines
from synthood.generators.diffusion.components import read_index
from toy_checkpoints import stable_diffusion_1, stable_diffusion_xl

EVIL = """
from pathlib import Path
Path({mark!r}).touch()
from diffusers import PNDMScheduler
class Evil(PNDMScheduler):
    pass
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint") / "sd"
    stable_diffusion_1().save_pretrained(folder)
    return folder


@pytest.fixture
def copied(checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoint, tmp_path / "copy"))


def edit(file: Path, **values: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def plant(folder: Path, place: str, mark: Path) -> None:
    (folder / place).write_text(EVIL.format(mark=str(mark)))


SPOILS: dict[str, tuple[Callable[[Path, Path], None], str]] = {
    "a class of its own": (
        lambda c, m: (plant(c, "scheduler/evil.py", m), edit(c / "model_index.json", scheduler=["evil", "Evil"]))[1],
        r"scheduler/evil\.py': code, which weights do not need and a library might run; remove the file",
    ),
    "a module of its own": (
        lambda c, m: edit(c / "model_index.json", scheduler=["evil", "Evil"]),
        r"'scheduler' is a \['evil', 'Evil'\], which is not loaded; scheduler may be diffusers's DDIMScheduler",
    ),
    "another library": (
        lambda c, m: edit(c / "model_index.json", scheduler=["transformers", "PNDMScheduler"]),
        "'scheduler' is a .*, which is not loaded",
    ),
    "an unknown part": (
        lambda c, m: edit(c / "model_index.json", helper=["os", "system"]),
        r"'helper' is a \['os', 'system'\], which is not loaded$",
    ),
    "a checker of its own": (
        lambda c, m: edit(c / "model_index.json", safety_checker=["evil", "Evil"]),
        "'safety_checker' is a .*safety_checker may be stable_diffusion's StableDiffusionSafetyChecker",
    ),
    "a pipeline of its own": (
        lambda c, m: (plant(c, "pipeline.py", m), edit(c / "model_index.json", _class_name=["pipeline", "Evil"]))[1],
        r"pipeline\.py': code",
    ),
    "a pipeline of another's": (
        lambda c, m: edit(c / "model_index.json", _class_name=["pipeline", "Evil"]),
        r"a \['pipeline', 'Evil'\]; expected one of StableDiffusionPipeline",
    ),
    "auto_map": (
        lambda c, m: edit(c / "text_encoder/config.json", auto_map={"AutoModel": "evil--Evil"}),
        r"text_encoder/config\.json': auto_map asks for code",
    ),
    "trust_remote_code": (
        lambda c, m: edit(c / "tokenizer/tokenizer_config.json", deep=[{"trust_remote_code": True}]),
        r"tokenizer_config\.json': trust_remote_code asks for code",
    ),
    "a class name with an escape": (
        lambda c, m: edit(c / "model_index.json", unet=["diffusers", "\x1b[31mEvil\n"]),
        r"'unet' is a \['diffusers', '\\x1b\[31mEvil\\n'\]",
    ),
}


@pytest.mark.parametrize("spoil", SPOILS)
def test_nothing_of_a_folder_is_run(copied: Path, tmp_path: Path, spoil: str) -> None:
    """Neither through loading, nor where our own check is asked alone."""
    change, told = SPOILS[spoil]
    change(copied, tmp_path / "mark")
    for read in (pipelines.load, lambda folder: read_index(folder / "model_index.json")):
        with pytest.raises(SynthoodError, match=told) as caught:
            read(copied)
        assert str(caught.value).isprintable()
    assert not (tmp_path / "mark").exists()


def test_every_class_that_the_pipelines_write_is_known(copied: Path, tmp_path: Path) -> None:
    """And those of published checkpoints, which older versions of the libraries wrote."""
    stable_diffusion_xl().save_pretrained(tmp_path / "xl")
    assert read_index(tmp_path / "xl/model_index.json")["_class_name"] == "StableDiffusionXLPipeline"
    edit(
        copied / "model_index.json",
        safety_checker=["stable_diffusion", "StableDiffusionSafetyChecker"],
        feature_extractor=["transformers", "CLIPFeatureExtractor"],
        image_encoder=["transformers", "CLIPVisionModelWithProjection"],
        tokenizer=["transformers", "CLIPTokenizerFast"],
        scheduler=["diffusers", "LCMScheduler"],
        requires_safety_checker=True,
    )
    read_index(copied / "model_index.json")
    loaded = pipelines.load(copied)
    assert type(loaded.scheduler).__name__ == "LCMScheduler"
    assert loaded.safety_checker is None
    assert loaded.image_encoder is None
