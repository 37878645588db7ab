"""What the stages of training read."""

from collections.abc import Callable
from pathlib import Path

from synthood.data import raw
from synthood.training.networks.import_settings import ImportSettings
from synthood.training.networks.imported_recipe import ImportedRecipe
from synthood.training.networks.settings import pretrained_file
from synthood.training.settings import TrainSettings
from synthood.workflow.plan import artefacts as at
from synthood.workflow.plan.backbones import BackbonePlan
from synthood.workflow.plan.paths import Wildcards, signed


class TrainingPlan(BackbonePlan):
    """What the stages of training read."""

    def learned_from(self, wildcards: Wildcards) -> dict[str, list[str]]:
        """What a recipe learns from, by the rule's names of inputs; under a frozen backbone features of the images."""

        def of(images: list[str], augmented: bool = True) -> list[str]:
            return [self.cached(wildcards.dataset, wildcards.recipe, one, augmented) for one in images]

        inputs = {
            "train": of([self.images(wildcards.dataset, "train")]),
            "val": of([self.images(wildcards.dataset, "val")], augmented=False),
            "synthetic": of(self._synthetic(wildcards)),
            "warm_start": self._warm_start(wildcards),
            "teacher": self._teacher(wildcards),
            "embeddings": self.outliers(at.EMBEDDINGS)(wildcards),
            "boundary": self.outliers(at.BOUNDARY)(wildcards),
            "latents": self.outliers(at.LATENTS)(wildcards),
            "gate": self.outliers(at.GATE)(wildcards),
            "exposure": of(self._exposure(wildcards)),
        }
        return {name: paths for name, paths in inputs.items() if paths}

    def _synthetic(self, wildcards: Wildcards) -> list[str]:
        """Blocks that a recipe trains on."""
        synthetic = self.config.recipes[wildcards.recipe].synthetic
        return self.blocks(wildcards.dataset, synthetic.from_) if synthetic else []

    def _warm_start(self, wildcards: Wildcards) -> list[str]:
        """The model whose weights come first: of the same seed."""
        other = self.config.recipes[wildcards.recipe].warm_start
        return [self.model(wildcards.dataset, other, wildcards.seed)] if other else []

    def _teacher(self, wildcards: Wildcards) -> list[str]:
        """The model that is distilled: of the teacher's seed, or of the same."""
        teacher = self.config.recipes[wildcards.recipe].teacher
        if teacher is None:
            return []
        seed = wildcards.seed if teacher.seed is None else teacher.seed
        return [self.model(wildcards.dataset, teacher.recipe, seed)]

    def outliers(self, artefact: str) -> Callable[[Wildcards], list[str]]:
        """The input of a recipe that one of the outlier stages wrote; none where it learns without outliers."""

        def of(wildcards: Wildcards) -> list[str]:
            terms = self.config.recipes[wildcards.recipe].outliers
            return [self.outlier_file(artefact, wildcards.dataset, terms.from_)] if terms else []

        return signed(of)

    def _exposure(self, wildcards: Wildcards) -> list[str]:
        """The outliers whose images a recipe shows to its network, or the extra set of images."""
        exposure = self.config.recipes[wildcards.recipe].exposure
        if exposure is None:
            return []
        if exposure.from_ in self.config.outliers:
            folder = at.OUTLIERS.format(dataset=wildcards.dataset, outliers=exposure.from_)
            return [f"{folder}/{self.config.outliers[exposure.from_].images}"]
        return [self.images(wildcards.dataset, exposure.from_)]

    def train_settings(self, wildcards: Wildcards) -> TrainSettings:
        """The resolved recipe."""
        recipe = self.config.recipes[wildcards.recipe]
        if isinstance(recipe, ImportedRecipe):
            raise ValueError(f"recipes.{wildcards.recipe} is a checkpoint, which is not trained")
        state = ""
        if file := pretrained_file(recipe.network):
            made = self.place(self.model(wildcards.dataset, wildcards.recipe, wildcards.seed))
            state = raw.state_of_folder(Path(file), made)
        return TrainSettings(recipe=recipe, precision=self.config.precision, pretrained_state=state)

    def pictures_state(self, wildcards: Wildcards) -> str:
        """A digest of the folder that PixMix mixes with, so that a change of it is noticed; empty without one."""
        folder = self.config.recipes[wildcards.recipe].outside(wildcards.seed)
        made = self.place(self.model(wildcards.dataset, wildcards.recipe, wildcards.seed))
        return raw.state_of_folder(Path(folder), made) if folder else ""

    def checkpoint_settings(self, wildcards: Wildcards) -> ImportSettings:
        """The checkpoint of one seed."""
        recipe = self.config.recipes[wildcards.recipe]
        if not isinstance(recipe, ImportedRecipe):
            raise ValueError(f"recipes.{wildcards.recipe} is trained, not a checkpoint")
        return ImportSettings(recipe=recipe.of_seed(wildcards.seed))

    def checkpoint_state(self, wildcards: Wildcards) -> str:
        """A digest of the checkpoint's file or folder, so that a change of it is noticed."""
        path = Path(self.checkpoint_settings(wildcards).recipe.path)
        of = raw.state_of_folder if path.is_dir() else raw.state_of_file
        return of(path, self.place(self.model(wildcards.dataset, wildcards.recipe, wildcards.seed)))
