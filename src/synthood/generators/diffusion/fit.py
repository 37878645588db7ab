"""What `fit_generator` does for Stable Diffusion: fits a miniature, or sets up and adapts a pretrained checkpoint."""

from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline

from synthood.common.finite import check_state
from synthood.common.images import ImageSet
from synthood.common.iterate import ResumeFile
from synthood.common.pixels import signed
from synthood.errors import SynthoodError
from synthood.generators.diffusion import adaptation, miniature, miniature_fit, pipelines, weights
from synthood.generators.diffusion.prompt_tokens import refuse_wordless
from synthood.generators.diffusion.prompts import for_classes, glosses_of
from synthood.generators.diffusion.settings import Adaptation, Pretrained, StableDiffusionFit
from synthood.generators.folder import Description
from synthood.generators.kinds.fitting import FitTask


def fit_stable_diffusion(
    task: FitTask, settings: StableDiffusionFit | Pretrained, words: dict[str, str], glosses: dict[str, str]
) -> None:
    """Writes the folder of a Stable Diffusion that knows the ID classes and, where it is fitted, those of `also`."""
    train, classes = task.train, task.classes
    each = for_classes(classes, words, "words")
    described = glosses_of(classes, each, glosses)
    how = (task.dtype, task.device, task.resume, task.folder)
    if isinstance(settings, StableDiffusionFit):
        fit_miniature(train, list(task.also), each, settings, *how)
        found = Description("stable-diffusion", classes, settings.prompt)
    else:
        found = set_up(train, each, settings, *how)
    more = {"words": each if each != classes else [], "glosses": described if glosses else []}
    Description(**{**more, **{key: value for key, value in vars(found).items() if value}}).write(task.folder)


def fit_miniature(
    train: ImageSet,
    also: list[ImageSet],
    words: list[str],
    settings: StableDiffusionFit,
    dtype: torch.dtype,
    device: torch.device,
    resume: ResumeFile,
    folder: Path,
) -> None:
    """Fits and saves a miniature; classes of `also` that the ID set has as well keep its words."""
    names, known = list(train.classes), list(words)
    index = [torch.from_numpy(train.labels)]
    for other in also:
        new = [name for name in other.classes if name not in names]
        names += new
        known += for_classes(new, {}, "words")
        index.append(torch.tensor([names.index(name) for name in other.classes])[torch.from_numpy(other.labels)])
    prompts = [settings.prompt.format(word=word) for word in known]
    images = torch.cat([signed(part.images) for part in [train, *also]]).to(device)
    pipeline = miniature.build(prompts, images.shape[-1], settings).to(device)
    miniature_fit.fit_autoencoder(pipeline.vae, images, settings, resume)
    miniature_fit.fit_denoiser(pipeline, images, torch.cat(index).to(device), prompts, settings, dtype, resume)
    pipelines.save(pipeline, folder)


def set_up(
    train: ImageSet,
    words: list[str],
    settings: Pretrained,
    dtype: torch.dtype,
    device: torch.device,
    resume: ResumeFile,
    folder: Path,
) -> Description:
    """Checks a checkpoint and adapts it where asked; the folder holds what was learned here, the weights stay there.

    Raises SynthoodError where the checkpoint cannot be read, makes smaller images than the dataset's, or has no token
    for a class word.
    """
    place = weights.located(settings)
    pipeline = pipelines.assembled(place, settings.variant).to(device)
    print(f"{place}: {type(pipeline).__name__}; its safety checker, if it has one, is left out", flush=True)
    side, size = pipeline.unet.config.sample_size * pipeline.vae_scale_factor, list(train.images.shape[1:3])
    if max(size) > side:
        raise SynthoodError(
            f"{place}: makes images of {side} px, the dataset's are of {size[0]} x {size[1]}; "
            f"take a checkpoint of a higher resolution or a smaller `size` of the images"
        )
    refuse_wordless(pipeline, train.classes, words)
    told = settings.model_dump(  # without what later jobs have no part in
        mode="json",
        by_alias=True,
        exclude_defaults=True,
        exclude={"adapt": True, "download": True, "lora": {"download"}},
    )
    source = {
        "pretrained": told,
        "files": weights.digests(place, weights.checkpoint_files(place, settings.variant)),
    }
    if settings.lora:
        file = weights.lora_file(settings.lora)
        source["lora_files"] = weights.digests(file.parent, [file])
        pipelines.add_lora(pipeline, file, settings.lora.scale)
    folder.mkdir()
    if settings.adapt:
        learned = adaptation.adapt(pipeline, train, settings.prompt, words, settings.adapt, dtype, resume)
        save_adaptation(pipeline, learned, settings.adapt, folder)
        if settings.adapt.kind == "tokens":
            words = pipelines.class_tokens(len(words))
    return Description("stable-diffusion", train.classes, settings.prompt, words=words, image_size=size, source=source)


def save_adaptation(
    pipeline: StableDiffusionPipeline,
    learned: list[torch.nn.Parameter],
    settings: Adaptation,
    folder: Path,
) -> None:
    """Writes low-rank weights as diffusers does, so that they load anywhere, or the table of tokens."""
    if settings.kind == "tokens":
        pipelines.save_tokens(learned[0], folder)
        return
    from diffusers.utils import convert_state_dict_to_diffusers
    from peft.utils import get_peft_model_state_dict

    state = convert_state_dict_to_diffusers(get_peft_model_state_dict(pipeline.unet))
    check_state(state, "the learned low-rank weights", "lower `adapt.learning_rate`")
    type(pipeline).save_lora_weights(folder, unet_lora_layers=state, weight_name=pipelines.LORA)
