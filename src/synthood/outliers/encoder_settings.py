"""Settings of the encoders in whose spaces outliers are sought."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from synthood.common.settings import NO_OUTLIERS, Count, Name, Positive, Ref, Seed, Settings
from synthood.outliers.spaces import Anchors
from synthood.training.augmentation.settings import Augmentation
from synthood.training.networks.settings import AnyNetwork


class Anchored(Settings):
    """What every encoder has: a vector for each class word, whose length outliers take."""

    anchors: Annotated[
        Anchors,
        Field(
            description="token: the word's row of the text encoder's input table, the mean of several; contextual: the "
            "mean over positions of its output, as OAL's code does on CIFAR-10"
        ),
    ] = "token"

    @property
    def outside(self) -> str | None:
        """The file or folder of weights that is not made here."""
        return None


class EncoderSettings(Anchored):
    """The text-aligned encoder: images to the space of the class words' embeddings (arXiv 2309.13415)."""

    kind: Literal["text-aligned"] = "text-aligned"
    network: Annotated[AnyNetwork, Field(description="architecture of the image encoder")]
    epochs: Annotated[Count, Field(description="passes over the training images")]
    batch_size: Annotated[int, Field(ge=2, description="images of a step")]
    learning_rate: Annotated[Positive, Field(description="the highest, of SGD on a cosine schedule")] = 0.1
    temperature: Annotated[Positive, Field(description="of the cosines to the class words")] = 0.1
    augmentation: Augmentation = Augmentation()
    seed: Seed = 0


class TimmEncoder(Anchored):
    """Pre-logits of a network of timm; OAL's code takes ViT-B/16's."""

    kind: Literal["timm"]
    model: Annotated[str, Field(min_length=1, description="timm's name of it")]
    checkpoint: Annotated[
        str | None, Field(min_length=1, description="file of its weights; without, those that timm downloads")
    ] = None

    @property
    def outside(self) -> str | None:
        return self.checkpoint


class RecipeEncoder(Anchored):
    """Penultimate features of a classifier of this configuration."""

    kind: Literal["recipe"]
    recipe: Annotated[
        Name,
        Ref("recipes", seed="seed", without=NO_OUTLIERS),
        Field(description="a recipe that learns without outliers"),
    ]
    seed: Annotated[Seed, Field(description="training seed of the recipe")] = 0


class ClipEncoder(Anchored):
    """CLIP's image tower with its projection."""

    kind: Literal["clip"]
    path: Annotated[str, Field(min_length=1, description="folder in the format of transformers")]

    @property
    def outside(self) -> str | None:
        return self.path


def _kind(value: Any) -> Any:
    return value.get("kind", "text-aligned") if isinstance(value, dict) else getattr(value, "kind", "text-aligned")


Encoder = Annotated[
    Annotated[EncoderSettings, Tag("text-aligned")]
    | Annotated[TimmEncoder, Tag("timm")]
    | Annotated[RecipeEncoder, Tag("recipe")]
    | Annotated[ClipEncoder, Tag("clip")],
    Discriminator(_kind),
]


class EmbedSettings(Settings):
    """One job of `embed`: nothing for an encoder that is fitted here, whose file says all."""

    encoder: Encoder | None = None
