"""From a source in files to an image set, whatever its layout."""

from typing import Literal, cast

from synthood.common.images import ImageSet
from synthood.data.decode import read_images_of
from synthood.data.file_settings import (
    Files,
    Folders,
    IdFolders,
    IdImglist,
    IdManifest,
    IdTorchvision,
    Imglist,
    Manifest,
    Torchvision,
)
from synthood.data.folders import folder_set, folder_splits
from synthood.data.imglist import id_list, list_set
from synthood.data.listing import Listing, id_listing
from synthood.data.manifest import manifest_set, manifest_splits
from synthood.data.torchvision_layouts import layout_set, layout_splits
from synthood.errors import SynthoodError


def from_files(settings: Files, part: str, ood: bool, threads: int = 1) -> ImageSet:
    """The decoded images of one part; its notes list what was skipped or differs from what was reported."""
    listing, notes = listed(settings, part)
    images, skipped = read_images_of(listing, settings, threads)
    made = ImageSet.out_of_distribution(images.images) if ood else images
    made.notes = notes + skipped
    return made


def listed(settings: Files, part: str) -> tuple[Listing, list[str]]:
    """What a part consists of, before anything is decoded, and what is worth telling about it."""
    match settings:
        case IdFolders():
            return id_listing(folder_splits(settings), part, settings), []
        case IdManifest():
            return id_listing(manifest_splits(settings), part, settings), []
        case IdTorchvision():
            return id_listing(layout_splits(settings), part, settings), []
        case IdImglist():
            return id_list(settings, cast(Literal["train", "val", "test"], part))
        case Imglist():
            return list_set(settings)
        case Folders():
            return _counted(folder_set(settings), settings.count), []
        case Manifest():
            return _counted(manifest_set(settings), settings.count), []
        case Torchvision():
            return layout_set(settings), []
        case _:
            raise SynthoodError(f"part {part}: no adapter reads {settings}")


def _counted(listing: Listing, count: int | None) -> Listing:
    if count not in (None, len(listing)):
        raise SynthoodError(f"{listing.origin}: {len(listing)} images, the configuration says {count}")
    return listing
