"""A BigGAN of ImageNet's classes as published: found or downloaded, checked, and kept as a generator's folder."""

from pathlib import Path

from pytorch_pretrained_biggan.model import (
    CONFIG_NAME,
    PRETRAINED_CONFIG_ARCHIVE_MAP,
    PRETRAINED_MODEL_ARCHIVE_MAP,
    WEIGHTS_NAME,
)

from synthood.common.identity import sha256
from synthood.errors import SynthoodError
from synthood.generators.biggan import network as biggan
from synthood.generators.biggan.imagenet import class_ids
from synthood.generators.biggan.settings import Pretrained
from synthood.generators.folder import Description


def adopt(settings: Pretrained, classes: list[str], side: int, folder: Path) -> None:
    """Writes the checked network into `folder`, for ID images of `side` pixels, with where its weights are from."""
    numbers = class_ids(classes, settings.class_ids)
    config, weights = files_of(settings.source)
    digest = sha256(weights)
    if settings.sha256 not in (None, digest):
        raise SynthoodError(
            f"{weights}: SHA-256 {digest}, the configuration says {settings.sha256}; fetch it again, or mend the digest"
        )
    network = biggan.read(config, weights)
    if (largest := max(max(each) for each in numbers)) >= network.config.num_classes:
        raise SynthoodError(f"{config}: {network.config.num_classes} classes, but class {largest} is asked for")
    folder.mkdir()
    biggan.save(network, folder)
    source = {"from": settings.source, "sha256": digest, "resolution": network.config.output_dim}
    Description("biggan", classes, class_ids=numbers, image_size=[side, side], source=source).write(folder)


def files_of(path: str) -> tuple[Path, Path]:
    """Configuration and weights in a folder; for a name of the package's, downloaded once to its cache."""
    if path not in PRETRAINED_MODEL_ARCHIVE_MAP:
        config, weights = Path(path) / CONFIG_NAME, Path(path) / WEIGHTS_NAME
        for file in (config, weights):
            if not file.is_file():
                names = ", ".join(PRETRAINED_MODEL_ARCHIVE_MAP)
                raise SynthoodError(
                    f"{file}: not found; give a folder with {CONFIG_NAME} and {WEIGHTS_NAME}, or one of {names}"
                )
        return config, weights
    from pytorch_pretrained_biggan.file_utils import cached_path

    maps = (PRETRAINED_CONFIG_ARCHIVE_MAP, PRETRAINED_MODEL_ARCHIVE_MAP)
    try:
        config, weights = (Path(cached_path(known[path])) for known in maps)
    except Exception as error:  # requests and boto3 raise whatever they like where there is no network
        raise SynthoodError(
            f"pretrained.from: {path} cannot be downloaded ({type(error).__name__}); put {CONFIG_NAME} and "
            f"{WEIGHTS_NAME} into a folder by hand and name the folder"
        ) from error
    return config, weights
