"""Settings of the stage `import_checkpoint`."""

from typing import Annotated

from pydantic import Discriminator

from synthood.common.settings import JobSettings
from synthood.training.networks.checkpoint_settings import CheckpointRecipe
from synthood.training.networks.zero_shot import ZeroShotRecipe

Imported = Annotated[CheckpointRecipe | ZeroShotRecipe, Discriminator("kind")]


class ImportSettings(JobSettings):
    """One job of `import_checkpoint`."""

    recipe: Imported
