"""What all kinds of outliers share: what is made of a section, and what recipes may read."""

from __future__ import annotations

from typing import ClassVar

from synthood.plugins import Plugin


class OutlierKind(Plugin):
    """A way of making outliers; artefacts are files of its section's folder."""

    kind: str

    images: ClassVar[str] = "images.safetensors"
    """The artefact with the images that `exposure` reads: an image set, or what the gate wrote."""
    latent: ClassVar[bool] = False
    """Whether there are embeddings and latents, too, for a recipe's `outliers`."""
    instead: ClassVar[dict[str, str]] = {}
    """The files that hold what other kinds have in these."""

    @property
    def outside(self) -> str | None:
        """A file or folder of weights that is not made here."""
        return None

    def pictures(self, judged: bool) -> list[str]:
        """Artefacts that show the outliers, where a judge may look at them or not; else those that hold them."""
        return [self.images]
