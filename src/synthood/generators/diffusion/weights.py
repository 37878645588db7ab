"""Where a pretrained checkpoint's files lie, that they are no pickles, and that they are those recorded."""

import re
from pathlib import Path

from synthood.common.identity import sha256
from synthood.errors import SynthoodError
from synthood.generators.diffusion.settings import LoRA, Pretrained, Weights

INDEX = "model_index.json"
PARTS = ("scheduler", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "unet", "vae")
NETWORKS = ("text_encoder", "text_encoder_2", "unet", "vae")
PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".pkl")
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def located(weights: Weights) -> Path:
    """The folder (or a LoRA's file) on this machine; from the hub's cache, filled first where `download` allows it.

    Raises SynthoodError where there is nothing, or the hub cannot be reached.
    """
    path = Path(weights.source)
    if path.exists():
        return path
    if not HUB_NAME.fullmatch(weights.source):
        raise SynthoodError(f"{path}: not found; relative paths start where snakemake runs")
    if weights.revision is None:
        raise SynthoodError(
            f"{path}: no such folder; to take the checkpoint of this name from the hub, pin `revision:` to a commit"
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                weights.source,
                revision=weights.revision,
                allow_patterns=wanted_of_hub(weights),
                local_files_only=not weights.download,
            )
        )
    except Exception as error:  # the hub's client fails in many ways
        told = str(error).strip().split("\n")[0]
        tried = "the hub could not be reached" if weights.download else "`download: true` would fetch it"
        raise SynthoodError(
            f"{weights.source} at {weights.revision}: not on this machine, and {tried} ({told}); "
            f"or name a folder that holds it under `from:`"
        ) from error


def wanted_of_hub(weights: Weights) -> list[str]:
    """Patterns of the files to fetch: a LoRA's one, or a checkpoint's parts in one variant."""
    if isinstance(weights, LoRA):
        return [weights.file]
    variant = weights.variant if isinstance(weights, Pretrained) else None
    ends = (f".{variant}.safetensors", f".{variant}-*.safetensors") if variant else (".safetensors",)
    ends = (*ends, f"-*.{variant}.safetensors" if variant else "-*.safetensors")
    files = [f"{name}{end}" for name in ("model", "diffusion_pytorch_model") for end in ends]
    return [INDEX, *(f"{part}/{file}" for part in PARTS for file in ("*.json", "*.txt", *files))]


def weight_files(folder: Path, variant: str | None) -> list[Path]:
    """The safetensors of one network in one variant."""
    every = sorted(folder.glob("*.safetensors"))
    if variant:
        return [file for file in every if f".{variant}." in file.name or f".{variant}-" in file.name]
    return [file for file in every if "." not in file.stem]


def checkpoint_files(folder: Path, variant: str | None) -> list[Path]:
    """All that is read of a checkpoint; raises SynthoodError where weights are missing, or are pickles."""
    if folder.is_file():
        raise SynthoodError(f"{folder}: a file; expected a folder in diffusers' format, with {INDEX} in it")
    if not (folder / INDEX).is_file():
        raise SynthoodError(f"{folder}: not a readable Stable Diffusion folder (no {INDEX} in it)")
    found = [folder / INDEX]
    for part in PARTS:
        here = folder / part
        found += sorted([*here.glob("*.json"), *here.glob("*.txt")])
        if part not in NETWORKS or not here.is_dir():
            continue
        weights = weight_files(here, variant)
        if not weights:
            pickles = [file.name for file in sorted(here.iterdir()) if file.suffix in PICKLES]
            if pickles:
                raise SynthoodError(
                    f"{here / pickles[0]}: a pickle, which could run code and is not read; "
                    f"save the checkpoint as safetensors with diffusers' save_pretrained"
                )
            named = f" of variant {variant!r}" if variant else ""
            others = ", ".join(file.name for file in sorted(here.glob("*.safetensors"))) or "none"
            raise SynthoodError(f"{here}: no safetensors weights{named} (there: {others})")
        found += weights
    return found


def lora_file(lora: LoRA) -> Path:
    """The file of a LoRA; raises SynthoodError where it is missing or a pickle."""
    place = located(lora)
    path = place if place.is_file() else place / lora.file
    if path.suffix != ".safetensors":
        raise SynthoodError(f"{path}: a LoRA is read from safetensors alone, a pickle could run code")
    if not path.is_file():
        raise SynthoodError(f"{path}: not found; `lora.file` names the file in the folder")
    return path


def digests(folder: Path, files: list[Path]) -> dict[str, str]:
    """SHA-256 by path below `folder`."""
    return {file.relative_to(folder).as_posix(): sha256(file) for file in files}


def check_digests(folder: Path, recorded: dict[str, str]) -> None:
    """Raises SynthoodError at the first file that is missing or not what was recorded."""
    for name, digest in recorded.items():
        file = folder / name
        if not file.is_file():
            raise SynthoodError(f"{file}: not found, though the generator was set up with it")
        if (found := sha256(file)) != digest:
            raise SynthoodError(
                f"{file}: changed since the generator was set up with it (SHA-256 {found[:12]}, recorded "
                f"{digest[:12]}); bring the old file back, or run fit_generator again"
            )
