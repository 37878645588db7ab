"""Settings of a classifier's network: a residual or dense one of ours, or one of torchvision's or timm's."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag, TypeAdapter, model_validator

from synthood.common.settings import Settings

ImageSize = Annotated[
    int | None, Field(ge=1, description="side to which images are enlarged, or reduced, before the first layer")
]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="of the weights' file, checked where given")]
TIMM, TORCHVISION = "timm/", "torchvision/"
Pretrained = Annotated[str, Field(min_length=1)]


class Network(Settings):
    """A residual network of the CIFAR kind; `width` is the first stage's.

    Below 8 channels oneDNN's backward pass of a strided 1x1 convolution writes out of bounds (torch 2.15).
    """

    union_tag: ClassVar[str] = "residual"

    name: Literal[
        "resnet8",
        "resnet14",
        "resnet20",
        "resnet32",
        "resnet44",
        "resnet56",
        "resnet110",
        "resnet18",
        "resnet34",
        "resnet50",
        "wrn-40-2",
        "wrn-28-10",
    ]
    width: Annotated[int, Field(ge=8, description="channels of the first stage")] = 16
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
        if self.shortcut == "padded" and self.name in ("resnet50", "wrn-40-2", "wrn-28-10"):
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


class DenseNetwork(Settings):
    """DenseNet-BC with 100 layers for images of 32 pixels (arXiv 1608.06993)."""

    union_tag: ClassVar[str] = "dense"

    name: Literal["densenet-bc-100"]
    growth: Annotated[int, Field(ge=4, description="channels that each layer adds")] = 12
    image_size: ImageSize = None

    @property
    def architecture(self) -> "DenseNetwork":
        """What decides the weights' names and shapes, and what is computed of them."""
        return self

    def described(self) -> dict[str, Any]:
        """For the header of a model's file."""
        return self.model_dump(mode="json", exclude_defaults=True)


class TorchvisionNetwork(Settings):
    """A classifier of torchvision by its name there, without dropout and stochastic depth."""

    union_tag: ClassVar[str] = "torchvision"

    name: Annotated[
        str,
        Field(pattern=r"^torchvision/[a-z0-9_]+$", description="torchvision/ and the model's name, in small letters"),
    ]
    image_size: ImageSize = None
    pretrained: Annotated[Pretrained | None, Field(description="weights to start from: a file of them")] = None
    sha256: Sha256 | None = None

    @model_validator(mode="after")
    def _a_digest_of_a_file(self) -> "TorchvisionNetwork":
        if self.sha256 and not self.pretrained:
            raise ValueError("sha256 is of a file; name it in `pretrained`")
        return self

    @property
    def architecture(self) -> "TorchvisionNetwork":
        """What decides the weights' names and shapes, and what is computed of them."""
        return self.model_copy(update={"pretrained": None, "sha256": None})

    def described(self) -> dict[str, Any]:
        """For the header of a model's file."""
        return self.architecture.model_dump(mode="json", exclude_defaults=True)


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
        bool | Pretrained,
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
    name = str(value.get("name", "") if isinstance(value, dict) else getattr(value, "name", ""))
    for prefix, family in ((TIMM, TimmNetwork), (TORCHVISION, TorchvisionNetwork), ("densenet-", DenseNetwork)):
        if name.startswith(prefix):
            return family.union_tag
    return Network.union_tag


AnyNetwork = Annotated[
    Annotated[Network, Tag(Network.union_tag)]
    | Annotated[DenseNetwork, Tag(DenseNetwork.union_tag)]
    | Annotated[TorchvisionNetwork, Tag(TorchvisionNetwork.union_tag)]
    | Annotated[TimmNetwork, Tag(TimmNetwork.union_tag)],
    Discriminator(_family),
]
_NETWORK: TypeAdapter[Network | DenseNetwork | TorchvisionNetwork | TimmNetwork] = TypeAdapter(AnyNetwork)


def network_described(header: Any) -> Network | DenseNetwork | TorchvisionNetwork | TimmNetwork:
    """The settings that `described` wrote."""
    return _NETWORK.validate_python(header)


def pretrained_file(network: AnyNetwork) -> str | None:
    """The file of the weights that training starts from, if it starts from one."""
    path = getattr(network, "pretrained", None)
    return path if isinstance(path, str) else None
