"""Classes of the ID images that nothing is taught."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from synthood.data.files.settings import ClassName
from synthood.data.selection import Split
from synthood.data.sources.base import IdSource, SetSource


class HeldOutClasses(SetSource):
    """Classes of the ID images that nothing is taught: all their images, of every split."""

    kind: Literal["held-out-classes"] = "held-out-classes"
    classes: Annotated[list[ClassName], Field(min_length=1, description="they leave the ID images")]
    splits: Annotated[list[Split], Field(min_length=1, description="images of these splits alone; default: all")] = []

    @property
    def nature(self) -> str:
        return f"real: held-out classes {', '.join(self.classes)}"

    @property
    def id_classes(self) -> list[str]:
        return self.classes

    def of_dataset(self, id_source: IdSource, taught: IdSource) -> dict[str, Any]:
        return {"source": id_source, "held_out": self.classes, "held_out_splits": self.splits}
