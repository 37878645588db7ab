"""The `network` key: any architecture in `architectures/`, chosen by its `kind` or by the beginning of its `name`."""

from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import Discriminator, Tag, TypeAdapter

from synthood.plugins import plugins
from synthood.training.networks.architectures.base import NetworkSettings

NETWORKS = plugins(NetworkSettings, "synthood.training.networks.architectures")


def kind_of_network(value: Any) -> str:
    """The kind that a section, or settings, of a network is of."""
    section = value if isinstance(value, dict) else vars(value)
    if kind := section.get("kind"):
        return str(kind)
    name = str(section.get("name", ""))
    return max(
        (len(p), kind) for kind, cls in NETWORKS.items() if (p := cls.prefix) is not None and name.startswith(p)
    )[1]


if TYPE_CHECKING:
    AnyNetwork = NetworkSettings
else:
    AnyNetwork = Annotated[
        Union[tuple(Annotated[cls, Tag(kind)] for kind, cls in NETWORKS.items())],  # noqa: UP007  what is found
        Discriminator(kind_of_network),
    ]
_NETWORK: TypeAdapter[NetworkSettings] = TypeAdapter(AnyNetwork)


def network_described(header: Any) -> NetworkSettings:
    """The settings that `described` wrote."""
    return _NETWORK.validate_python(header)


def pretrained_file(network: NetworkSettings) -> str | None:
    """The file of the weights that training starts from, if it starts from one."""
    path = getattr(network, "pretrained", None)
    return path if isinstance(path, str) else None
