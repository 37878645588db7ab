"""What the stage of cached features reads, and who reads its features in the place of images."""

from functools import cached_property
from pathlib import Path

from synthood.data import raw
from synthood.training.backbone_settings import BackboneSettings
from synthood.training.networks.imported_recipe import ImportedRecipe
from synthood.training.networks.settings import pretrained_file
from synthood.training.settings import RecipeSettings
from synthood.workflow.plan import artefacts as at
from synthood.workflow.plan.data import DataPlan
from synthood.workflow.plan.paths import Wildcards


class BackbonePlan(DataPlan):
    """What the stage of cached features reads."""

    def cached(self, dataset: str, recipe: str, images: str, augmented: bool = True) -> str:
        """The features of a set of images that a recipe with a frozen backbone takes; of others the images."""
        settings = self.config.recipes[recipe]
        if isinstance(settings, ImportedRecipe) or not settings.network.frozen:
            return images
        folder = f"results/{dataset}/"
        return f"{folder}backbones/{backbone_of(settings, augmented).name}/{images.removeprefix(folder)}"

    @cached_property
    def backbones(self) -> dict[str, BackboneSettings]:
        """What decides the features of each frozen backbone, by its name in paths."""
        recipes = [recipe for recipe in self.config.recipes.values() if isinstance(recipe, RecipeSettings)]
        frozen = [recipe for recipe in recipes if recipe.network.frozen]
        found = [backbone_of(recipe, augmented) for recipe in frozen for augmented in (False, True)]
        return {settings.name: settings for settings in found}

    def backbone_settings(self, wildcards: Wildcards) -> BackboneSettings:
        """What decides a frozen backbone's features, with the state of its file."""
        settings = self.backbones[wildcards.backbone]
        names = {"dataset": wildcards.dataset, "backbone": wildcards.backbone, "images": wildcards.images}
        made = self.place(at.BACKBONE_FEATURES.format(**names))
        file = pretrained_file(settings.network)
        return settings.model_copy(update={"pretrained_state": raw.state_of_folder(Path(file), made) if file else ""})

    def stored_backbone(self, wildcards: Wildcards) -> list[str]:
        """Where storage has a frozen backbone's weights."""
        file = pretrained_file(self.backbones[wildcards.backbone].network)
        return [raw.stored_at(Path(file))] if file and raw.in_storage(Path(file)) else []

    def evaluated_features(self, wildcards: Wildcards) -> list[str]:
        """A frozen backbone's features of all parts that a model is run over; none where it runs over images."""
        if not self.config.recipes[wildcards.recipe].network.frozen:
            return []
        train = self.images(wildcards.dataset, "train")
        return [
            self.cached(wildcards.dataset, wildcards.recipe, images, augmented=images == train)
            for images in self.evaluated(wildcards)
        ]


def backbone_of(recipe: RecipeSettings, augmented: bool) -> BackboneSettings:
    """What decides the features that a recipe with a frozen backbone learns from, or those of the clean view alone."""
    network = recipe.network.backbone
    if not augmented or not recipe.views:
        return BackboneSettings(network=network)
    return BackboneSettings(network=network, augmentation=recipe.augmentation, views=recipe.views)
