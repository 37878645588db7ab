"""Settings of a classifier's network: a residual one of ours, or any of timm's."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag, TypeAdapter, model_validator

from synthood.common.settings import Settings

ImageSize = Annotated[
    int | None, Field(ge=1, description="side to which images are enlarged, or reduced, before the first layer")
]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="of the weights' file, checked where given")]
TIMM = "timm/"


class Network(Settings):
    """A residual network of the CIFAR kind; `width` is the first stage's.

    Below 8 channels oneDNN's backward pass of a strided 1x1 convolution writes out of bounds (torch 2.15).
    """

    union_tag: ClassVar[str] = "residual"

    name: Literal["resnet8", "resnet14", "resnet20", "resnet18", "resnet34", "resnet50", "wrn-40-2"]
    width: Annotated[int, Field(ge=8)] = 16
    shortcut: Annotated[
        Literal["projected", "padded"],
        Field(description="where the shape changes: a 1x1 convolution, or every second pixel and channels of zeros"),
    ] = "projected"
    stem: Annotated[
        Literal[32, 64, 224],
        Field(description="side of the images: 3x3; 3x3 of stride 2; 7x7 of stride 2 and max-pooling"),
    ] = 32
    image_size: ImageSize = None

    @model_validator(mode="after")
    def _wide_and_bottleneck(self) -> "Network":
        if self.shortcut == "padded" and self.name in ("resnet50", "wrn-40-2"):
            raise ValueError(f"shortcut padded goes with basic blocks alone, which {self.name} does not have")
        return self

    @property
    def architecture(self) -> "Network":
        """What decides the weights' names and shapes, and what is computed of them."""
        return self

    def described(self) -> dict[str, Any]:
        """For the header of a model's file, where a usual stem and size go unsaid, as before there were others."""
        usual = {key for key, value in (("stem", 32), ("image_size", None)) if getattr(self, key) == value}
        return self.model_dump(mode="json", exclude=usual)


class TimmNetwork(Settings):
    """A network of timm by its name there; needs `pip install synthood[timm]`."""

    union_tag: ClassVar[str] = "timm"

    name: Annotated[
        str, Field(pattern=r"^timm/[A-Za-z0-9_.-]+$", description="timm/ and the model's name, or name.tag")
    ]
    image_size: ImageSize = None
    options: Annotated[
        dict[str, bool | int | float | str | list[int]], Field(description="further arguments of timm.create_model")
    ] = {}
    pretrained: Annotated[
        bool | Annotated[str, Field(min_length=1)],
        Field(description="weights to start from: a file of them, or true: timm's own, downloaded"),
    ] = False
    sha256: Sha256 | None = None

    @model_validator(mode="after")
    def _a_digest_of_a_file(self) -> "TimmNetwork":
        if self.sha256 and not isinstance(self.pretrained, str):
            raise ValueError("sha256 is of a file; name it in `pretrained`")
        return self

    @property
    def architecture(self) -> "TimmNetwork":
        """What decides the weights' names and shapes, and what is computed of them."""
        return self.model_copy(update={"pretrained": False, "sha256": None})

    def described(self) -> dict[str, Any]:
        """For the header of a model's file."""
        return self.architecture.model_dump(mode="json", exclude_defaults=True)


def _family(value: Any) -> str:
    name = value.get("name", "") if isinstance(value, dict) else getattr(value, "name", "")
    return TimmNetwork.union_tag if str(name).startswith(TIMM) else Network.union_tag


AnyNetwork = Annotated[
    Annotated[Network, Tag(Network.union_tag)] | Annotated[TimmNetwork, Tag(TimmNetwork.union_tag)],
    Discriminator(_family),
]
_NETWORK: TypeAdapter[Network | TimmNetwork] = TypeAdapter(AnyNetwork)


def network_described(header: Any) -> Network | TimmNetwork:
    """The settings that `described` wrote."""
    return _NETWORK.validate_python(header)
