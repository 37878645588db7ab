"""Any network of timm as one of ours: its pooled features, and its classifier as the last Linear."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from synthood.common.lazy import lazy
from synthood.common.settings import Interpolation
from synthood.errors import SynthoodError, first_line, nearest
from synthood.training.networks.architectures.base import (
    ImageNetwork,
    OwnInputs,
    Pretrained,
    PretrainedSettings,
)

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from synthood.common.states import State
else:
    torch, nn = lazy("torch"), lazy("torch.nn")

TIMM = "timm/"
LITE = "pip install 'synthood[lite]'"
BY_TAG = {"in1k": "ImageNet-1k", "in12k": "ImageNet-12k", "in21k": "ImageNet-21k", "in22k": "ImageNet-22k"}
"""Data sets with labels that are parts of timm's tags, such as a1_in1k and augreg2_in21k_ft_in1k."""


class TimmNetwork(PretrainedSettings):
    """A network of timm by its name there; needs `pip install synthood[timm]`."""

    prefix = TIMM

    kind: Literal["timm"] = "timm"
    name: Annotated[
        str, Field(pattern=r"^timm/[A-Za-z0-9_.-]+$", description="timm/ and the model's name, or name.tag")
    ]
    options: Annotated[
        dict[str, bool | int | float | str | list[int]], Field(description="further arguments of timm.create_model")
    ] = {}
    pretrained: Annotated[
        bool | Pretrained,
        Field(description="weights to start from: a file of them, or true: timm's own, downloaded"),
    ] = False

    def build(self, classes: int) -> ImageNetwork:
        return TimmClassifier(self, classes)

    def own_weights(self) -> State | None:
        if self.pretrained is not True:
            return None
        from synthood.training.networks.installed import installed_weights  # reads files, which planning does not

        found: State = installed_weights(self.name) or created(self, pretrained=True).state_dict()
        return found

    def own_inputs(self) -> OwnInputs | None:
        given = timm_library(f"network {self.name}").get_pretrained_cfg(self.name.removeprefix(TIMM))
        if not given:
            return None
        side = given.input_size[-1]
        shorter = int(side / given.crop_pct) if given.crop_mode == "center" else side
        mode: Interpolation = "bilinear" if given.interpolation == "bilinear" else "bicubic"
        return OwnInputs(list(given.mean), list(given.std), side, shorter, mode)

    def library_weights(self) -> tuple[str, str | None]:
        from synthood.training.networks.installed import PACKAGES, installed_file

        if installed_file(self.name) is not None:
            return f"package {PACKAGES[self.name].name}", PACKAGES[self.name].sha256
        return f"timm's {self.weights_tag}", None

    def trained_on(self, digest: str | None) -> list[str]:
        from synthood.training.networks.installed import PACKAGES

        if digest is not None:
            return ["ImageNet-1k"] if digest in {package.sha256 for package in PACKAGES.values()} else []
        return by_tag(self.weights_tag)

    @property
    def weights_tag(self) -> str:
        """Of the weights that timm has for the name, which may name it."""
        known = timm_library(f"network {self.name}").get_pretrained_cfg(self.name.removeprefix(TIMM))
        return str(known.tag) if known is not None else ""


def by_tag(tag: str) -> list[str]:
    """Data sets with labels that a tag of timm names."""
    return [BY_TAG[part] for part in tag.split("_") if part in BY_TAG]


class TimmClassifier(ImageNetwork):
    """timm's model without its classifier, which is `head`."""

    def __init__(self, settings: TimmNetwork, classes: int) -> None:
        super().__init__()
        model = created(settings, num_classes=classes)
        places = model.default_cfg.get("classifier")
        if not isinstance(places, str) or not isinstance(model.get_submodule(places), nn.Linear):
            raise SynthoodError(f"network {settings.name}: its classifier is not one Linear; take another network")
        if model.get_submodule(places).bias is None:
            raise SynthoodError(f"network {settings.name}: its last Linear has no bias; take another network")
        self.name, self.classifier = settings.name, places
        self.fixed = settings.image_size is None and bool(model.default_cfg.get("fixed_input_size"))
        self.side = side_of(model, settings)
        self.resize = settings.resize()
        with torch.no_grad():
            agrees(model.eval(), settings, self.side)
            self.draws = agrees_in_training(model, settings, self.side)
        self.head = model.get_submodule(places)
        parent, _, leaf = places.rpartition(".")
        setattr(model.get_submodule(parent), leaf, nn.Identity())
        self.model = model.train()

    def features(self, images: Tensor) -> Tensor:
        images = self.resize(images)
        if self.fixed and images.shape[2:] != (self.side, self.side):
            height, width = images.shape[2:]
            raise SynthoodError(
                f"network {self.name}: takes images of {self.side} x {self.side} pixels, got {height} x {width}; "
                f"set network.image_size"
            )
        found: Tensor = self.model.forward_head(self.model.forward_features(images), pre_logits=True)
        return found

    def stage_weights(self) -> list[list[str]]:
        """As timm groups them, coarsely."""
        if not hasattr(self.model, "group_matcher"):
            return super().stage_weights()
        grouped = timm_library(f"network {self.name}").models.group_parameters(
            self.model, self.model.group_matcher(coarse=True)
        )
        return [[f"model.{name}" for name in grouped[number]] for number in sorted(grouped)]


def timm_library(what: str) -> ModuleType:
    """timm, or what to install; `what` needs it."""
    try:
        import timm
    except ImportError as error:
        raise SynthoodError(f"{what}: needs timm; pip install 'synthood[timm]'") from error
    return timm


def created(settings: TimmNetwork, **more: Any) -> Any:
    """The model of a recipe's network by timm's factory."""
    what, name, options = f"network {settings.name}", settings.name.removeprefix(TIMM), dict(settings.options)
    fixed = (timm_library(what).get_pretrained_cfg(name.partition(".")[0]) or object).__dict__.get("fixed_input_size")
    if fixed and settings.image_size is not None:
        options.setdefault("img_size", settings.image_size)
    return built(name, what, "pretrained", **options, **more)


def built(name: str, what: str, key: str, **options: Any) -> Any:
    """The model by timm's factory; raises SynthoodError where the name, its tag or an option is not timm's.

    `key` is where a configuration names a file of weights, in place of those that timm downloads.
    """
    timm = timm_library(what)
    if not timm.is_model(name):
        raise SynthoodError(f"{what}: timm has none of this name{nearest(name.partition('.')[0], timm.list_models())}")
    try:
        return timm.create_model(name, **options)
    except OSError as error:
        raise SynthoodError(
            f"{what}: its weights cannot be downloaded ({first_line(error)}); write a file of them as `{key}`"
            + (f", or {LITE}" if name == "tf_efficientnet_lite0" else "")
        ) from error
    except (TypeError, ValueError, RuntimeError, AssertionError, AttributeError) as error:
        raise SynthoodError(f"{what}: timm does not build it ({first_line(error)})") from error


def side_of(model: Any, settings: TimmNetwork) -> int:
    """Side of the images that the model takes."""
    size = settings.image_size or settings.options.get("img_size")
    return size if isinstance(size, int) else int(model.default_cfg["input_size"][-1])


def agrees(model: Any, settings: TimmNetwork, side: int) -> None:
    """Raises where the classifier of the pooled features is not what the model computes, or not twice the same."""
    images, before = torch.linspace(-1, 1, 3 * side * side).view(1, 3, side, side), torch.get_rng_state()
    try:
        pooled = model.forward_head(model.forward_features(images), pre_logits=True)
        same = pooled.ndim == 2 and torch.allclose(model.get_classifier()(pooled), model(images), atol=1e-4, rtol=1e-3)
    except (RuntimeError, ValueError, AssertionError, AttributeError, TypeError) as error:
        raise SynthoodError(
            f"network {settings.name}: takes no images of {side} x {side} pixels ({first_line(error)})"
        ) from error
    if not torch.equal(torch.get_rng_state(), before):
        raise SynthoodError(f"network {settings.name}: draws at random in evaluation, too; take another network")
    if not same:
        raise SynthoodError(
            f"network {settings.name}: its logits are not its last Linear of its pooled features; take another network"
        )


def agrees_in_training(model: Any, settings: TimmNetwork, side: int) -> bool:
    """Whether the model draws at random in training; raises where some of that follows the pooled features.

    Such as a dropout between them and the classifier, which `TimmClassifier` would leave out.
    """
    images = torch.linspace(-1, 1, 6 * side * side).view(2, 3, side, side)
    buffers = [buffer.clone() for buffer in model.buffers()]
    model.train()
    torch.manual_seed(0)
    before = torch.get_rng_state()
    logits = model(images)
    draws = not torch.equal(torch.get_rng_state(), before)
    if draws:
        torch.manual_seed(0)
        pooled = model.forward_head(model.forward_features(images), pre_logits=True)
        if not torch.allclose(model.get_classifier()(pooled), logits, atol=1e-4, rtol=1e-3):
            raise SynthoodError(
                f"network {settings.name}: draws at random between its pooled features and its last Linear; "
                f"set drop_rate of network.options to 0, and use the recipe's dropout"
            )
    for buffer, value in zip(model.buffers(), buffers, strict=True):
        buffer.copy_(value)
    return draws
