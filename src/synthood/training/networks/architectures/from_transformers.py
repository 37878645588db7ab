"""DINOv2 and CLIP's image encoder, from folders that transformers saved, as classifiers of ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from synthood.common.foreign_folders import read_json, refuse_code
from synthood.common.identity import sha256
from synthood.common.lazy import lazy
from synthood.common.settings import Interpolation
from synthood.errors import SynthoodError, first_line, nearest, printable
from synthood.training.networks.architectures.base import ImageNetwork, OwnInputs, Pretrained, PretrainedSettings

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from synthood.common.states import State
else:
    torch, nn = lazy("torch"), lazy("torch.nn")

TRANSFORMERS = "transformers/"
CONFIG, INPUTS, WEIGHTS = "config.json", "preprocessor_config.json", "model.safetensors"
SHARDS = f"{WEIGHTS}.index.json"
SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "num_channels", "image_size", "patch_size")
OTHERS = ("hidden_act", "layer_norm_eps", "initializer_range")
DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "drop_path_rate", "attention_dropout")
DINO = ("mlp_ratio", "qkv_bias", "layerscale_value", "use_swiglu_ffn", *DROPOUTS[:3])
BICUBIC, BILINEAR = 3, 2
"""Pillow's numbers of them, as `resample` has them."""
BLOCK = re.compile(r"model\.(?:vision_model\.)?encoder\.layers?\.(\d+)\.")
PROJECTION = "projection_dim"
MASK = "embeddings.mask_token"
"""Of DINOv2's own training alone."""


@dataclass(frozen=True)
class Family:
    """Names of the classes in transformers, the types that a config.json may say, keys that decide the network.

    `beside` are the beginnings of keys of weights that are not the image encoder's; `features` is the output that is
    the features, and `width` the key with their number.
    """

    config: str
    model: str
    types: tuple[str, ...]
    keys: tuple[str, ...]
    beside: tuple[str, ...]
    features: str = "pooler_output"
    width: str = "hidden_size"


CLIP = (*SIZES, *OTHERS, "intermediate_size", "attention_dropout", "initializer_factor")
TEXT = ("text_model.", "text_projection.", "logit_scale", "classifier.")
FAMILIES = {
    "dinov2": Family("Dinov2Config", "Dinov2Model", ("dinov2",), (*SIZES, *OTHERS, *DINO), ("classifier.",)),
    "dinov2_with_registers": Family(
        "Dinov2WithRegistersConfig",
        "Dinov2WithRegistersModel",
        ("dinov2_with_registers",),
        (*SIZES, *OTHERS, *DINO, "num_register_tokens"),
        ("classifier.",),
    ),
    "clip_with_projection": Family(
        "CLIPVisionConfig",
        "CLIPVisionModelWithProjection",
        ("clip", "clip_vision_model"),
        (*CLIP, PROJECTION),
        TEXT,
        "image_embeds",
        PROJECTION,
    ),
    "clip": Family(
        "CLIPVisionConfig", "CLIPVisionModel", ("clip", "clip_vision_model"), CLIP, (*TEXT, "visual_projection.")
    ),
}

NAMES = "DINOv2 or CLIP"


class TransformersNetwork(PretrainedSettings):
    """DINOv2 or CLIP's image encoder, of a folder that transformers saved.

    Features are those of the class token, with `clip_with_projection` its embedding in the space of texts.
    """

    prefix = TRANSFORMERS
    paper = "arXiv 2304.07193, 2103.00020"

    kind: Literal["transformers"] = "transformers"
    name: Annotated[
        Literal[
            "transformers/dinov2",
            "transformers/dinov2_with_registers",
            "transformers/clip",
            "transformers/clip_with_projection",
        ],
        Field(description="transformers/ and the network's type in config.json"),
    ]
    pretrained: Annotated[
        Pretrained | None,
        Field(description=f"weights to start from: a folder with {CONFIG}, {INPUTS} and {WEIGHTS}"),
    ] = None
    config: Annotated[
        dict[str, bool | int | float | str],
        Field(description="of a network without pretrained weights, keys of config.json; others as in transformers"),
    ] = {}

    @model_validator(mode="after")
    def _one_description(self) -> Self:
        if self.pretrained and self.config:
            raise ValueError(f"config is that of the folder in `pretrained`, in its {CONFIG}; take it away")
        if wrong := next((key for key in self.config if key not in self.family.keys), None):
            raise ValueError(f"config.{wrong}: no key that decides the network{nearest(wrong, self.family.keys)}")
        return self

    @property
    def family(self) -> Family:
        """The library's classes and keys of the named network."""
        return FAMILIES[self.name.removeprefix(TRANSFORMERS)]

    @property
    def feature_count(self) -> int | None:
        try:
            given = self.config_of_folder() if self.pretrained else self.config
        except SynthoodError:  # named by `check_files`
            return None
        width = given.get(self.family.width)
        return self.own_head.feature_count or (width if isinstance(width, int) else None)

    @property
    def architecture(self) -> Self:
        return super().architecture.model_copy(update={"config": self.full_config()})

    def full_config(self) -> dict[str, Any]:
        """Every key that decides the network: those of the folder or of `config`, others as transformers has them."""
        given = self.config_of_folder() if self.pretrained else self.config
        made = made_config(self, given)
        return {key: getattr(made, key) for key in self.family.keys}

    def config_of_folder(self) -> dict[str, Any]:
        """What config.json says of the image encoder; raises SynthoodError where it is of another network."""
        where, content = f"{self.pretrained}/{CONFIG}", self.content(CONFIG)
        if (kind := content.get("model_type")) not in self.family.types:
            raise SynthoodError(
                f"{where}: of a network of type {printable(str(kind))}, not of {self.family.types[0]}; fix network.name"
            )
        of_both = {PROJECTION: content[PROJECTION]} if PROJECTION in content else {}
        content = content.get("vision_config", content)
        if not isinstance(content, dict):
            raise SynthoodError(f"{where}: vision_config is no mapping; fetch the folder again")
        content = content | of_both
        return {key: content[key] for key in self.family.keys if key in content}

    def content(self, name: str) -> dict[str, Any]:
        """A JSON file of the folder."""
        folder = Path(self.pretrained or "")
        if not folder.is_dir():
            raise SynthoodError(f"{printable(folder)}: no such folder; `pretrained` of {self.name} is one")
        if not (folder / name).is_file():
            raise SynthoodError(f"{printable(folder)}: no {name} in it; transformers saves one by save_pretrained")
        found = read_json(folder / name)
        if not isinstance(found, dict):
            raise SynthoodError(f"{printable(folder / name)}: no mapping; fetch the folder again")
        return found

    def check_files(self) -> None:
        if self.pretrained is None:
            return
        self.config_of_folder()
        self.own_inputs()
        folder = Path(self.pretrained)
        refuse_code(folder)
        if not (folder / WEIGHTS).is_file() and not (folder / SHARDS).is_file():
            pickles = sorted(folder.glob("*.bin")) + sorted(folder.glob("*.pt*"))
            why = f"; {pickles[0].name} is a pickle, which is not read" if pickles else ""
            raise SynthoodError(f"{printable(folder)}: no {WEIGHTS} in it{why}; save it by transformers")
        if self.sha256 and not (folder / WEIGHTS).is_file():
            raise SynthoodError(f"{printable(folder)}: sha256 is of {WEIGHTS}, but the weights are in several files")

    def build(self, classes: int) -> ImageNetwork:
        return TransformersClassifier(self, classes)

    def own_weights(self) -> State | None:
        """The image encoder's weights float32; raises SynthoodError where some are missing or others come with them."""
        if self.pretrained is None:
            return None
        self.check_files()
        folder = Path(self.pretrained)
        if self.sha256 and (digest := sha256(folder / WEIGHTS)) != self.sha256:
            raise SynthoodError(f"{printable(folder / WEIGHTS)}: has SHA-256 {digest}, not `sha256` {self.sha256}")
        from safetensors import SafetensorError

        try:
            with quiet():
                model, found = library_class(self, self.family.model).from_pretrained(
                    folder,
                    config=made_config(self, self.config_of_folder()),
                    local_files_only=True,
                    use_safetensors=True,
                    dtype=torch.float32,
                    output_loading_info=True,
                )
        except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
            raise SynthoodError(f"{printable(folder)}: weights that do not fit ({first_line(error)})") from error
        # The library fills missing weights with noise and goes on.
        missing = sorted(str(key) for kind in ("missing_keys", "mismatched_keys") for key in found[kind])
        missing = [key for key in missing if key != MASK]
        unknown = sorted(key for key in found["unexpected_keys"] if not key.startswith(self.family.beside))
        if missing or unknown:
            what = f"missing {missing[0]}" if missing else f"unknown {unknown[0]}"
            raise SynthoodError(f"{printable(folder)}: weights that do not fit its {CONFIG} ({what}); fetch them again")
        return {f"model.{key}": value for key, value in model.state_dict().items() if key != MASK}

    def own_inputs(self) -> OwnInputs | None:
        if self.pretrained is None:
            return None
        given, where = self.content(INPUTS), f"{self.pretrained}/{INPUTS}"
        try:
            shorter = side_of(given["size"])
            side = side_of(given["crop_size"]) if given.get("do_center_crop", "crop_size" in given) else shorter
            plain = not given.get("do_normalize", True)
            mean, std = ([0.0] * 3, [1.0] * 3) if plain else (given["image_mean"], given["image_std"])
            mean, std = [float(value) for value in mean], [float(value) for value in std]
            scale = float(given.get("rescale_factor", 1 / 255))
        except (KeyError, TypeError, ValueError, StopIteration) as error:
            raise SynthoodError(f"{where}: does not say {first_line(error)} as transformers does") from error
        if len(mean) != 3 or len(std) != 3 or not all(std) or abs(scale * 255 - 1) > 1e-3:
            raise SynthoodError(
                f"{where}: expected three means and deviations of pixels in [0,1]; take another network"
            )
        mode: Interpolation = "bilinear" if given.get("resample", BICUBIC) == BILINEAR else "bicubic"
        return OwnInputs(mean, std, side, shorter, mode)

    def check(self, network: ImageNetwork, height: int, width: int) -> None:
        side = self.image_size
        check_sides(self.name, self.full_config()["patch_size"], side or height, side or width)


class TransformersClassifier(ImageNetwork):
    """The encoder's class token after the last norm, before or after CLIP's projection, and a Linear."""

    def __init__(self, settings: TransformersNetwork, classes: int) -> None:
        super().__init__()
        config = made_config(settings, settings.full_config())
        self.name, self.patch, self.resize = settings.name, config.patch_size, settings.resize()
        self.output = settings.family.features
        self.model = library_class(settings, settings.family.model)(config).train()
        if hasattr(getattr(self.model, "embeddings", None), "mask_token"):
            self.model.embeddings.mask_token = None
        # Positions of another size of images are interpolated; DINOv2 does so without being asked.
        self.options = {"interpolate_pos_encoding": True} if settings.family.config == "CLIPVisionConfig" else {}
        self.draws = any(getattr(config, key, 0.0) for key in DROPOUTS)
        self.head = nn.Linear(getattr(config, settings.family.width), classes)

    def features(self, images: Tensor) -> Tensor:
        images = self.resize(images)
        check_sides(self.name, self.patch, *images.shape[2:])
        found: Tensor = getattr(self.model(pixel_values=images, **self.options), self.output)
        return found

    def stage_weights(self) -> list[list[str]]:
        """The blocks, with what comes before the first and after the last."""
        found: dict[int, list[str]] = {}
        number = 0
        for name, _ in self.named_parameters():
            number = int(block[1]) if (block := BLOCK.match(name)) else number
            if not name.startswith("head."):
                found.setdefault(number, []).append(name)
        return list(found.values())


def of_folder(folder: Path) -> TransformersNetwork:
    """The network of a folder by its config.json, on images of its own size; SynthoodError where it is none of ours."""
    named = {kind: name for name, family in FAMILIES.items() for kind in family.types}
    found = TransformersNetwork(name="transformers/dinov2", pretrained=str(folder))
    kind = found.content(CONFIG).get("model_type")
    if kind not in named:
        raise SynthoodError(f"{printable(folder / CONFIG)}: of a network of type {printable(str(kind))}, not {NAMES}")
    network = {"name": f"{TRANSFORMERS}{named[kind]}", "pretrained": str(folder)}
    own = TransformersNetwork.model_validate(network).own_inputs()
    return TransformersNetwork.model_validate(network | ({"image_size": own.side} if own else {}))


def check_sides(name: str, patch: int, height: int, width: int) -> None:
    """Raises where patches would not cover the image, whose rest the library leaves out."""
    if height % patch or width % patch:
        fits = max(1, round(height / patch)) * patch
        raise SynthoodError(
            f"network {name}: takes sides that are multiples of {patch} pixels, got {height} x {width}; "
            f"set network.image_size, such as {fits}"
        )


def library_class(settings: TransformersNetwork, name: str) -> Any:
    """A class of transformers."""
    import transformers

    return getattr(transformers, name)


def made_config(settings: TransformersNetwork, given: dict[str, Any]) -> Any:
    """The library's configuration of these keys; raises SynthoodError where it refuses them."""
    where = f"{settings.pretrained}/{CONFIG}" if settings.pretrained else f"network {settings.name}: config"
    try:
        found = library_class(settings, settings.family.config)(**given)
    except Exception as error:  # whatever the library's checks raise
        raise SynthoodError(f"{where}: transformers refuses it ({first_line(error)})") from error
    if found.num_channels != 3 or not isinstance(found.image_size, int) or not isinstance(found.patch_size, int):
        raise SynthoodError(
            f"{where}: expected num_channels 3 and whole image_size and patch_size; take another network"
        )
    return found


def side_of(size: Any) -> int:
    """Pixels of a square, or of a shorter side, as preprocessor_config.json says them."""
    if isinstance(size, dict):
        size = next(size[key] for key in ("shortest_edge", "height") if key in size)
    return int(size)


@contextmanager
def quiet() -> Iterator[None]:
    """Without the library's table of weights that are not used, and its progress bar."""
    from transformers.utils import logging

    before, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bar:
            logging.enable_progress_bar()
