"""What recipes have whose models are not trained here."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from synthood.common.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from synthood.training.networks.architectures.base import NetworkSettings
    from synthood.training.networks.model import Classifier


class ImportedRecipe(Settings):
    """A model from elsewhere; `path` is what the user gives for it."""

    synthetic: ClassVar[None] = None
    warm_start: ClassVar[None] = None
    teacher: ClassVar[None] = None
    outliers: ClassVar[None] = None
    exposure: ClassVar[None] = None
    methods: ClassVar[tuple[()]] = ()
    heads: ClassVar[frozenset[str]] = frozenset()

    kind: str
    path: str
    if TYPE_CHECKING:

        @property
        def network(self) -> NetworkSettings:
            """Architecture of the model."""

    @property
    def one_for_all_seeds(self) -> bool:
        """Whether every seed has the same model."""
        return "{seed}" not in self.path

    def of_seed(self, seed: int | str) -> Self:
        """The same with the seed in the path."""
        return self.model_copy(update={"path": self.path.replace("{seed}", str(seed))})

    def outside(self, seed: int | str) -> str | None:
        """What the user gives for a run besides images."""
        return self.of_seed(seed).path

    def weights_file(self) -> Path:
        """The file of the weights."""
        raise NotImplementedError

    def classifier(self, classes: list[str], report: Callable[[str], None] = print) -> Classifier:
        """The model for a data set's classes in their order; `report` gets what was chosen and left out.

        Raises SynthoodError where it does not fit its network or the classes.
        """
        raise NotImplementedError
