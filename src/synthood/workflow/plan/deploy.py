"""What the stage of export reads."""

from synthood.config.detection import deployable, left_out
from synthood.data.files.settings import Files
from synthood.deploy.settings import DeploySettings, ExportSettings, Promise
from synthood.errors import SynthoodError
from synthood.training.method_settings import ExtractSettings, Methods
from synthood.workflow.plan import artefacts as at
from synthood.workflow.plan.paths import Paths, Wildcards


class DeployPlan(Paths):
    """What the stage of export reads."""

    @property
    def _deploy(self) -> DeploySettings:
        if self.config.deploy is None:
            raise SynthoodError("the configuration has no section `deploy`; name a dataset and recipes there")
        return self.config.deploy

    def deployed(self) -> list[str]:
        """The exported detector, where one is asked for."""
        deploy = self.config.deploy
        return [at.DEPLOYED.format(dataset=deploy.dataset)] if deploy else []

    def deploy_models(self, wildcards: Wildcards) -> list[str]:
        """The models of each candidate recipe, of every seed."""
        return self._of_candidates(at.MODEL)

    def deploy_features(self, wildcards: Wildcards) -> list[str]:
        """Their features."""
        return self._of_candidates(at.FEATURES)

    def _of_candidates(self, artefact: str) -> list[str]:
        deploy = self._deploy
        return [
            artefact.format(dataset=deploy.dataset, recipe=recipe, seed=seed)
            for recipe in deploy.recipes
            for seed in deploy.models
        ]

    def deploy_heads(self, wildcards: Wildcards) -> list[str]:
        """The trained heads of each candidate recipe that has some for its detectors to read."""
        deploy = self._deploy
        return [
            at.HEADS.format(dataset=deploy.dataset, recipe=recipe, seed=deploy.models[0])
            for recipe, heads in zip(deploy.recipes, self._heads_read(deploy), strict=True)
            if heads.methods
        ]

    def _heads_read(self, deploy: DeploySettings) -> list[Methods]:
        """The methods of each candidate recipe whose heads its candidate detectors read."""
        found = []
        for recipe in deploy.recipes:
            read = {d.reads for d in deployable(self.config, deploy, recipe).values() if "outputs" in d.inputs}
            methods = [method for method in self.config.recipes[recipe].methods if method.head in read]
            found.append(ExtractSettings.of(methods).heads)
        return found

    def export_settings(self, wildcards: Wildcards) -> ExportSettings:
        """Candidates and promise, and how files become images."""
        deploy = self._deploy
        dataset = self.config.datasets[deploy.dataset]
        source = dataset.taught
        decoding = source if isinstance(source, Files) else None
        return ExportSettings(
            promise=Promise(**{key: getattr(deploy, key) for key in Promise.model_fields}),
            recipes=deploy.recipes,
            detectors=[deployable(self.config, deploy, recipe) for recipe in deploy.recipes],
            heads=self._heads_read(deploy),
            seeds=deploy.models,
            onnx=deploy.onnx,
            left_out=left_out(self.config, deploy),
            dataset=deploy.dataset,
            ood=dataset.ood_sets,
            ood_classes={
                name: source.id_classes or [name]
                for name, source in {**dataset.near, **dataset.far}.items()
                if not source.computed
            },
            resize=decoding.resize if decoding else None,
            apply_exif_rotation=decoding.apply_exif_rotation if decoding else True,
            bits=decoding.bits if decoding else None,
            interpolation=decoding.interpolation if decoding else "bilinear",
        )
