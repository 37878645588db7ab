"""Settings of the stage `backbone_features`."""

import hashlib
import re
from typing import Annotated

from pydantic import Field

from synthood.common.settings import JobSettings
from synthood.training.augmentation.settings import Augmentation
from synthood.training.networks.settings import AnyNetwork


class BackboneSettings(JobSettings):
    """What decides the features of one set."""

    network: Annotated[AnyNetwork, Field(description="whose backbone is frozen; its head plays no part")]
    augmentation: Augmentation = Augmentation()
    views: Annotated[int, Field(ge=0, description="augmented views of each image, behind the clean one")] = 0
    pretrained_state: Annotated[str, Field(description="of the file of the weights, when planned")] = ""

    @property
    def name(self) -> str:
        """A readable name with a digest of all but the state of the file, which a change of it makes anew in place."""
        plain = self.model_copy(update={"pretrained_state": "", "code": {}}).canonical()
        network = re.sub(r"[^A-Za-z0-9_.]+", "-", str(getattr(self.network, "name", self.network.kind)))
        views = f"-{self.views}views" if self.views else ""
        return f"{network.rpartition('-')[2]}{views}-{hashlib.sha256(plain.encode()).hexdigest()[:10]}"
