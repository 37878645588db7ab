"""A network that a user wrote: a function or class in a Python file of theirs that makes a torch module."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from synthood.common.lazy import Tensor, nn, torch
from synthood.common.syntax import code_of_file
from synthood.common.user_code import UserCode, call
from synthood.errors import SynthoodError
from synthood.training.networks.architectures.base import ImageNetwork, ImageSize, NetworkSettings, Resize, build

IMAGES = 3
"""Images that a network is checked with, and classes of a dry run."""


class CustomNetwork(UserCode, NetworkSettings):
    """A network of yours: `function(classes, **values)` or a class makes a module that gives logits of images.

    Its last Linear gives the logits, of what are the penultimate features.
    """

    kind: Literal["custom"] = "custom"
    image_size: ImageSize = None
    code: Annotated[
        str | None,
        Field(pattern=r"^[0-9a-f]{12}$", description="digest of the file's code, checked where given; models have it"),
    ] = None

    @model_validator(mode="after")
    def _classes_are_given(self) -> Self:
        if "classes" in self.values:
            raise ValueError("values.classes is the number of the data's classes; take it away")
        return self

    @property
    def architecture(self) -> Self:
        return self.model_copy(update={"code": code_of_file(Path(self.file))})

    def build(self, classes: int) -> ImageNetwork:
        if self.code and (now := code_of_file(Path(self.file))) != self.code:
            raise SynthoodError(
                f"{self.file}: has changed since the model was made (digest {now}, then {self.code}); "
                f"put it back, or train the model again"
            )
        return CustomClassifier(self, self.module(classes), classes)

    def module(self, classes: int) -> nn.Module:
        """What the user's function gives."""
        made = call(self.where, self.loaded(), classes=classes, **self.values)
        if not isinstance(made, nn.Module):
            raise SynthoodError(f"{self.where}: must give a torch.nn.Module, got {type(made).__name__}")
        if any(isinstance(one, nn.parameter.UninitializedParameter) for one in made.parameters()):
            raise SynthoodError(f"{self.where}: has lazy layers, whose sizes are not known; give them their sizes")
        return made

    def check(self, network: ImageNetwork, height: int, width: int) -> None:
        classes = network.head.out_features
        sides = (height, width) if self.image_size is None else (self.image_size, self.image_size)
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            network.draws = Check(self, classes, *sides).draws()

    def dry_run(self, side: int = 32) -> None:
        self.check(build(self, IMAGES, seed=0), side, side)


class CustomClassifier(ImageNetwork):
    """The user's module without its last Linear, which is `head`."""

    def __init__(self, settings: CustomNetwork, module: nn.Module, classes: int) -> None:
        super().__init__()
        self.where = settings.where
        self.resize = nn.Identity() if settings.image_size is None else Resize(settings.image_size)
        self.classifier, self.head = last_linear(module, classes, self.where)
        self.by_method = has_features(module)
        module.set_submodule(self.classifier, nn.Identity())
        self.model: Any = module

    def features(self, images: Tensor) -> Tensor:
        images = self.resize(images)
        found: Tensor = self.model.features(images) if self.by_method else self.model(images)
        expected = (len(images), self.head.in_features)
        if not isinstance(found, torch.Tensor) or found.shape != expected:
            raise SynthoodError(f"{self.where}: features must be a tensor {list(expected)}, got {kind_of(found)}")
        return found


class Check:
    """What a module of the user's must be like, on three images of uniform noise; all that it builds is thrown away."""

    def __init__(self, settings: CustomNetwork, classes: int, height: int, width: int) -> None:
        self.settings, self.where, self.classes = settings, settings.where, classes
        torch.manual_seed(0)
        self.module = settings.module(classes)
        torch.manual_seed(0)
        self.network = CustomClassifier(settings, settings.module(classes), classes)
        self.images = 2 * torch.rand((IMAGES, 3, height, width), generator=torch.Generator().manual_seed(0)) - 1
        self.same_weights()

    def same_weights(self) -> None:
        """Raises where a seed does not repeat its weights."""
        _, translated = self.settings.translations(self.network)
        ours, theirs = self.network.state_dict(), self.module.state_dict()
        for key, value in theirs.items():
            other = ours.get(translated(key))
            if other is None or not torch.equal(other, value):
                raise SynthoodError(
                    f"{self.where}: {key} differs between two builds with one seed; draw weights by torch alone"
                )

    def draws(self) -> bool:
        """Whether it draws at random in training; raises where it cannot be trained or scored."""
        state = {key: value.clone() for key, value in self.module.state_dict().items()}
        logits, drew = self.logits(self.module.eval(), self.images)
        if drew:
            raise SynthoodError(f"{self.where}: draws at random in evaluation mode, too; use `self.training`")
        if changed := [key for key, value in self.module.state_dict().items() if not torch.equal(value, state[key])]:
            raise SynthoodError(f"{self.where}: changes {changed[0]} in evaluation mode; use `self.training`")
        self.agree(self.logits(self.module, self.images[:1])[0], logits[:1], "depend on the other images of a batch")
        self.agree(call(self.where, self.network.eval(), self.images), logits, NOT_LAST)
        trained, draws = self.logits(self.module.train(), self.images)
        self.agree(self.logits(self.module, self.images)[0], trained, "differ with the same seed of torch")
        torch.manual_seed(0)
        self.agree(call(self.where, self.network.train(), self.images), trained, f"{NOT_LAST} in training")
        return draws

    def logits(self, module: nn.Module, images: Tensor) -> tuple[Tensor, bool]:
        """Logits [N,C] of a module, checked, and whether it drew at random."""
        before, seen = images.clone(), images.clone()
        random = torch.manual_seed(0).get_state()
        found: Any = call(self.where, module, seen)
        expected = [len(images), self.classes]
        if not isinstance(found, torch.Tensor) or list(found.shape) != expected:
            raise SynthoodError(
                f"{self.where}: must give logits {expected} of {expected[0]} images, got {kind_of(found)}"
            )
        if found.dtype != torch.float32 or not found.isfinite().all():
            raise SynthoodError(f"{self.where}: must give finite logits in float32, got {kind_of(found)}")
        if not torch.equal(seen, before):
            raise SynthoodError(f"{self.where}: changes its input, which others see; work on a copy")
        return found, not torch.equal(torch.get_rng_state(), random)

    def agree(self, found: Tensor, expected: Tensor, otherwise: str) -> None:
        if not torch.allclose(found, expected, atol=1e-4, rtol=1e-3):
            raise SynthoodError(f"{self.where}: its logits {otherwise}")


NOT_LAST = "are not those of its last Linear, applied to its features and nothing after it"


def has_features(module: nn.Module) -> bool:
    """Whether a module has a method `features` and a Linear `head`, which are then used."""
    features = getattr(module, "features", None)
    return (
        isinstance(getattr(module, "head", None), nn.Linear)
        and callable(features)
        and not isinstance(features, nn.Module)
    )


def last_linear(module: nn.Module, classes: int, where: str) -> tuple[str, nn.Linear]:
    """`head` of a module that has `features`, else its last Linear, with its place."""
    linear = [(place, layer) for place, layer in module.named_modules() if place and isinstance(layer, nn.Linear)]
    if not linear:
        raise SynthoodError(f"{where}: has no torch.nn.Linear inside, whose input would be the features")
    place, layer = ("head", module.get_submodule("head")) if has_features(module) else linear[-1]
    assert isinstance(layer, nn.Linear)
    if layer.out_features != classes:
        raise SynthoodError(
            f"{where}: its last Linear, {place}, gives {layer.out_features} logits of {classes} classes; "
            f"make it nn.Linear(..., classes)"
        )
    if layer.bias is None:
        raise SynthoodError(f"{where}: its last Linear, {place}, has no bias, which losses and detectors need; add it")
    return place, layer


def kind_of(value: Any) -> str:
    """A value in words."""
    if not isinstance(value, torch.Tensor):
        return type(value).__name__
    finite = "" if value.isfinite().all() else ", not finite"
    return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}{finite}"
