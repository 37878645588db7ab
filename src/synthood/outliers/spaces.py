"""Where embeddings and outliers lie, as the headers of their files say it."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from synthood.errors import SynthoodError

Anchors = Literal["token", "contextual"]


@dataclass(frozen=True)
class EmbeddingSpace:
    """The encoder's kind, what the vectors of the class words are, and the digest of the text encoder they are of."""

    encoder: str
    anchors: Anchors
    text_encoder: str

    def header(self) -> dict[str, str]:
        return asdict(self)

    @classmethod
    def of(cls, header: dict[str, Any], path: Path) -> "EmbeddingSpace":
        """From the header of what fit_encoder, embed or boundary wrote."""
        found = header.get("space")
        if not isinstance(found, dict) or found.keys() != cls.__dataclass_fields__.keys():
            raise SynthoodError(f"{path}: does not say which space it is of; delete it and run again")
        return cls(**found)

    def check(self, text_encoder: str, path: Path) -> None:
        """Raises SynthoodError unless the outliers in `path` lie near the words of this text encoder."""
        if text_encoder != self.text_encoder:
            raise SynthoodError(
                f"{path}: its outliers lie near the words of another text encoder than this generator's; "
                f"run embed and boundary with this generator"
            )
