"""Settings of Stable Diffusion: fitted here in miniature, or a pretrained checkpoint that may be adapted."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from synthood.common.settings import Count, Name, Positive, Ref, Seed, Settings


def only(*fields: str) -> AfterValidator:
    """Refuses braces around anything but these fields, which are all that is filled in."""

    def checked(prompt: str) -> str:
        left = prompt
        for field in fields:
            left = left.replace(field, "")
        if "{" in left or "}" in left:
            raise ValueError(f"expected no braces but those of {' and '.join(fields)}, got {prompt!r}")
        return prompt

    return AfterValidator(checked)


Prompt = Annotated[
    str,
    Field(pattern=r"\{(word|gloss)\}", description="with {word} or {gloss} of the class in it"),
    only("{word}", "{gloss}"),
]
WordPrompt = Annotated[str, Field(pattern=r"\{word\}", description="with the class's {word} in it"), only("{word}")]
Text = Annotated[str, Field(pattern=r"\S", max_length=300)]


class StableDiffusionFit(Settings):
    """A miniature latent diffusion model and how it learns: first the autoencoder, then U-Net and text encoder."""

    prompt: WordPrompt = "a photo of the digit {word}"
    extra_sets: Annotated[
        list[Name], Ref("extra"), Field(description="extra sets of the dataset that it learns as well")
    ] = []
    autoencoder_steps: Annotated[Count, Field(description="updates of the autoencoder")]
    denoiser_steps: Annotated[Count, Field(description="updates of the U-Net and the text encoder")]
    batch_size: Annotated[Count, Field(description="images of a step")] = 64
    autoencoder_channels: Annotated[
        list[Count], Field(min_length=1, description="of each stage; all but the last halve the side")
    ] = [
        8,
        16,
        32,
    ]
    denoiser_channels: Annotated[
        list[Count], Field(min_length=2, max_length=2, description="of the U-Net's two stages")
    ] = [32, 64]
    text_width: Annotated[Count, Field(description="dimensions of a token's embedding")] = 64
    learning_rate: Annotated[Positive, Field(description="of both, by AdamW")] = 2e-3
    seed: Seed = 0


class Weights(Settings):
    """Where weights lie: a folder (or a LoRA's file) on disk, or a name on the hub with its revision."""

    source: Annotated[Text, Field(alias="from", description="folder, or a name on the hub such as owner/model")]
    revision: Annotated[str | None, Field(description="commit on the hub; needed for a name on the hub")] = None
    download: Annotated[bool, Field(description="may be fetched from the hub")] = False


class LoRA(Weights):
    """Low-rank weights made elsewhere, e.g. LCM-LoRA, added to the checkpoint's (arXiv 2106.09685)."""

    file: Annotated[str, Field(pattern=r"\.safetensors$", description="its name in the folder")] = (
        "pytorch_lora_weights.safetensors"
    )
    scale: Annotated[Positive, Field(description="factor of the added weights")] = 1.0


class Adaptation(Settings):
    """What the checkpoint learns of the ID training images, in steps of the noise prediction loss."""

    kind: Annotated[
        Literal["lora", "tokens"],
        Field(description="lora: low-rank weights of the U-Net; tokens: a token for each class (arXiv 2208.01618)"),
    ]
    steps: Annotated[Count, Field(description="updates of what is learned")]
    batch_size: Annotated[Count, Field(description="images of a step")] = 4
    rank: Annotated[int, Field(ge=1, description="of the low-rank weights")] = 8
    learning_rate: Annotated[Positive | None, Field(description="null: 1e-4 for lora, 5e-3 for tokens")] = None
    flip: Annotated[bool, Field(description="learn mirrored images as well")] = False
    seed: Seed = 0


class Pretrained(Weights):
    """A Stable Diffusion 1.x, 2.x, XL or Turbo in diffusers' format, read from safetensors alone."""

    variant: Annotated[str | None, Field(description="of the weight files, e.g. fp16")] = None
    prompt: WordPrompt = "a photo of a {word}"
    lora: LoRA | None = None
    adapt: Adaptation | None = None
