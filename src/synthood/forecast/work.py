"""What each job does: how often which operations, and what it writes and holds in memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from synthood.common.precision import Precision
from synthood.data.files.decode import Reading
from synthood.data.part_settings import PartSettings
from synthood.data.sources.in_files import InFiles
from synthood.evaluation.settings import ScoreSettings
from synthood.forecast import of_generators as made_by
from synthood.forecast.flops import of_biggan
from synthood.forecast.jobs import Job
from synthood.forecast.of_scores import Samples, scoring
from synthood.forecast.of_training import digest, encoder_step, exposed, image_pass, size_of, training_step
from synthood.forecast.operation import Operation, Trial
from synthood.forecast.sizes import Images, Sizes
from synthood.generators.biggan.settings import HingeFit
from synthood.outliers.encoders.text_aligned import TextAlignedEncoder
from synthood.training.networks.settings import network_described
from synthood.training.settings import RecipeSettings

MIB = 1 << 20
FLOAT = 4
PRODUCT = Operation("a billion operations of matrix products", 1e9)
HEAD_STEP = Operation("a step of a head on cached features", 0.0, usual=0.004)
PROBED = 200
"""Passes over all embeddings to fit a second classifier of them."""
VIT = {"name": "timm/vit_base_patch16_224", "image_size": 224}
"""In the place of an encoder from elsewhere, such as CLIP's image tower: of about its operations."""


@dataclass
class Work:
    """Operations with their numbers; bytes written, and MiB held beside what every process holds."""

    operations: list[tuple[Operation, float]] = field(default_factory=list)
    disk: float = 0.0
    memory: float = 0.0

    def add(self, operation: Operation, count: float) -> None:
        if count > 0:
            self.operations.append((operation, count))


class Works:
    """The work of every job of a configuration."""

    def __init__(self, sizes: Sizes) -> None:
        self.sizes, self.plan = sizes, sizes.plan
        self.config = sizes.plan.config
        self.precision: Precision = self.config.precision

    def of(self, job: Job) -> Work:
        """What a job does; nothing beside its own start where its rule does little."""
        work = Work()
        rule: Callable[[Job, Work], None] | None = getattr(self, f"_{job.rule}", None)
        if rule is not None:
            rule(job, work)
        return work

    # Images

    def _prepare(self, job: Job, work: Work) -> None:
        images = self.sizes.of(job.name)
        settings = self.plan.settings_of_part(job.wildcards["dataset"], job.wildcards["part"])
        work.add(read_image(settings, images), images.count)
        work.disk = stored_bytes(images)
        work.memory = images.count * images.side**2 * 3 / MIB if images.side <= 64 else 200

    def _compare(self, job: Job, work: Work) -> None:
        count = self.sizes.total(job.inputs)
        work.memory = count * 100 / MIB

    _overlaps = _overlaps_id = _compare

    def _leaks(self, job: Job, work: Work) -> None:
        images = [self.sizes.of(path) for path in job.inputs]
        count = sum(one.count for one in images)
        work.add(PRODUCT, count**2 * 64 / 1e9)
        work.memory = sum(one.count * one.side**2 * 3 for one in images) / MIB

    def _drop_leaks(self, job: Job, work: Work) -> None:
        images = self.sizes.of(job.inputs[0])
        work.disk = stored_bytes(images)
        work.memory = images.count * images.side**2 * 3 / MIB

    # Generators

    def _images(self, dataset: str, part: str = "train") -> Images:
        return self.sizes.of(self.plan.images(dataset, part))

    def _diffusion(self, name: str, dataset: str, sample: Any = None) -> made_by.Diffusion:
        generator: Any = self.config.generators[name]
        return made_by.diffusion(generator.fit, generator.pretrained, self._images(dataset), sample or generator.sample)

    def _fit_generator(self, job: Job, work: Work) -> None:
        dataset, generator = job.wildcards["dataset"], self._generator(job)
        images = self._images(dataset)
        work.memory = images.count * images.side**2 * 3 * FLOAT / MIB if generator.learns else 0.0
        if generator.kind == "biggan" and generator.fit is not None:
            fit = generator.fit
            work.add(made_by.biggan_step(fit, images, self.precision), fit.steps)
            size = made_by.biggan_size(fit.latent_size, fit.channel_width, images.classes, images.side)
            drawn = made_by.biggan_image(size, "fitted here", fit, images)
            work.add(drawn, STATISTICS)
            if isinstance(fit, HingeFit):
                measured = fit.steps // fit.watch.every + 1
                work.add(drawn, measured * (fit.watch.images + STATISTICS / 17))
                if fit.watch.classifier:
                    work.add(self._pass(fit.watch.classifier, images), measured * fit.watch.images)
            work.disk = size.parameters * FLOAT
            work.memory += (4 * size.parameters + fit.batch_size * 4 * size.activations) * FLOAT / MIB
        elif generator.kind == "stable-diffusion":
            made = self._diffusion(job.wildcards["generator"], dataset)
            self._fit_diffusion(job, work, made, generator)
        elif generator.kind == "ready-made":
            count = images.classes * generator.attempts_per_class
            work.add(read_image(None, images), count)
            work.disk = stored_bytes(Images(count, images.side, images.classes))

    def _fit_diffusion(self, job: Job, work: Work, made: made_by.Diffusion, generator: Any) -> None:
        parameters = made.denoising.parameters + made.decoding.parameters + made.encoding.parameters
        images = self.sizes.of(job.files["train"][0])
        if made.fit is not None:
            count = self.sizes.total([*job.files["train"], *job.files.get("also", [])])
            work.add(made_by.autoencoder_step(made), made.fit.autoencoder_steps)
            work.add(made_by.denoiser_step(made, self.precision), made.fit.denoiser_steps)
            work.add(made_by.encoded(made), 4 * count)
            work.disk = 1.3 * parameters * FLOAT
            work.memory += 4 * parameters * FLOAT / MIB
        elif (adapt := generator.pretrained.adapt) is not None:
            work.add(made_by.adaptation_step(made, adapt), adapt.steps)
            work.add(made_by.encoded(made), images.count * (1 + adapt.flip))
            work.disk = 20 * MIB
            work.memory += (1.3 * parameters + adapt.batch_size * made.denoising.activations) * FLOAT / MIB
        else:
            work.memory += 1.3 * parameters * FLOAT / MIB

    def _synthesise(self, job: Job, work: Work) -> None:
        generator, images = self._generator(job), self.sizes.of(job.name)
        self._draw(job.wildcards["generator"], generator, images, work, drawn_for(generator, images))
        work.disk = stored_bytes(images)

    def _draw(self, name: str, generator: Any, images: Images, work: Work, count: float) -> None:
        if generator.kind == "stable-diffusion":
            made = made_by.diffusion(generator.fit, generator.pretrained, images, generator.sample)
            work.add(made_by.latent(made, generator.sample), count)
            work.add(made_by.decoded(made), count)
            work.memory += memory_of(made, generator.sample)
        elif generator.kind == "biggan":
            if generator.fit is not None:
                fit = generator.fit
                size = made_by.biggan_size(fit.latent_size, fit.channel_width, images.classes, images.side)
                work.add(made_by.biggan_image(size, "fitted here", fit, images), count)
            else:
                size, _, _ = of_biggan(generator.pretrained.source)
                work.add(made_by.biggan_image(size, name, None, images), count)
            work.memory += (size.parameters + 16 * size.activations) * FLOAT / MIB

    def _generator(self, job: Job) -> Any:
        return self.config.generators[job.wildcards["generator"]]

    def _filter(self, job: Job, work: Work) -> None:
        settings = self._generator(job).filter
        images, kept = self._images(job.wildcards["dataset"]), self.sizes.of(job.name)
        made = self.sizes.total(job.files["synthetic"])
        val = self.sizes.total(job.files["val"])
        work.add(self._pass(settings.classifier, images), made)
        per_class = images.count / images.classes
        work.add(PRODUCT, nearest(made + val, per_class, settings.max_shift, images.side))
        work.disk = stored_bytes(kept)

    def _assess(self, job: Job, work: Work) -> None:
        settings = self.config.assess
        assert settings is not None
        train, test = self._images(job.wildcards["dataset"]), self._images(job.wildcards["dataset"], "test")
        made = min(settings.images, self.sizes.total(job.files["synthetic"]))
        work.add(self._pass(settings.judge, train), made + train.count + test.count)
        work.add(PRODUCT, nearest(made + test.count, train.count, settings.max_shift, train.side))
        work.memory = (made + train.count + test.count) * train.side**2 * 3 * FLOAT / MIB

    # Outliers

    def _sampled(self, job: Job) -> Any:
        return self.config.outliers[job.wildcards["outliers"]]

    def _fit_encoder(self, job: Job, work: Work) -> None:
        encoder, images = self._sampled(job).encoder, self._images(job.wildcards["dataset"])
        assert isinstance(encoder, TextAlignedEncoder)
        made = self._diffusion(self._sampled(job).generator, job.wildcards["dataset"])
        steps = encoder.epochs * math.ceil(images.count / encoder.batch_size)
        work.add(encoder_step(encoder, images, made.token_width), steps)
        self._trained_memory(work, encoder.network, images, encoder.batch_size, job.memory)

    def _embed(self, job: Job, work: Work) -> None:
        encoder, images = self._sampled(job).encoder, self._images(job.wildcards["dataset"])
        if encoder.classifier:
            operation = self._pass(encoder.classifier[0], images)
        else:
            network = getattr(encoder, "network", None) or network_described(VIT)
            operation = image_pass(network, images)
        work.add(operation, images.count)
        work.disk = images.count * 768 * FLOAT

    def _boundary(self, job: Job, work: Work) -> None:
        settings, images = self._sampled(job).boundary, self._images(job.wildcards["dataset"])
        per_class = settings.per_class or images.count / images.classes
        points = settings.points_per_round or settings.boundary_points
        made = settings.rounds * settings.candidates * (1 if settings.shared_noise else points)
        made = images.classes * made
        width = self._diffusion(self._sampled(job).generator, job.wildcards["dataset"]).token_width
        work.add(PRODUCT, 2 * (made + images.count) * per_class * width / 1e9)
        sums = images.classes * settings.rounds * settings.candidates * points * per_class
        work.add(Operation("a billion sums sorted", 0.0, usual=6.0), sums / 1e9)
        noise = settings.candidates * width * (1 if settings.shared_noise else points)
        work.memory = (noise + points * settings.candidates + images.count * width) * FLOAT / MIB

    def _crossing(self, job: Job, work: Work) -> None:
        settings, images = self._sampled(job).crossing, self._images(job.wildcards["dataset"])
        width = self._diffusion(self._sampled(job).generator, job.wildcards["dataset"]).token_width
        pushes = images.count * (settings.steps + settings.extra_steps) / 2  # they stop once enough have crossed
        work.add(PRODUCT, 6 * (pushes + PROBED * images.count) * images.classes * width / 1e9)
        work.memory = 5 * images.count * width * FLOAT / MIB

    def _invert(self, job: Job, work: Work) -> None:
        settings, images = self._sampled(job).inversion, self._images(job.wildcards["dataset"])
        made = self._diffusion(self._sampled(job).generator, job.wildcards["dataset"])
        count = images.count + self.sizes.total(job.files["val"])
        if settings.per_class is not None:
            count = min(count, 2 * images.classes * settings.per_class)
        work.add(made_by.encoded(made), count)
        passes = 2.5 * settings.steps + 2  # forward and back to the token, and two losses on new noise
        work.add(made_by.noised(made), passes * settings.draws * count)
        work.disk = count * made.token_width * FLOAT
        at_once = settings.batch_size * made.denoising.activations
        work.memory = (1.3 * made.denoising.parameters + 2 * at_once) * FLOAT / MIB

    def _fit_flow(self, job: Job, work: Work) -> None:
        settings, images = self._sampled(job).flow, self._images(job.wildcards["dataset"])
        width = self._diffusion(self._sampled(job).generator, job.wildcards["dataset"]).token_width
        coupling = (settings.width * width / 2) * (settings.width * width / 2 + width)
        rotation = 3 * width**3  # a linear system, twice a step
        steps = settings.epochs * math.ceil(images.count / settings.batch_size)
        each = settings.layers * coupling + (settings.layers + 1) * width**2
        passes = 12 * settings.epochs * images.count * each + 6 * steps * (settings.layers + 1) * rotation
        work.add(PRODUCT, passes / 1e9)
        work.disk = settings.layers * (coupling + width**2) * FLOAT

    def _latents(self, job: Job, work: Work) -> None:
        images, settings = self._images(job.wildcards["dataset"]), self._sampled(job).latents
        made = self._diffusion(self._sampled(job).generator, job.wildcards["dataset"], settings.sample)
        count = images.classes * settings.attempts_per_class
        work.add(made_by.latent(made, settings.sample), count)
        if "train" in job.files:
            work.add(made_by.encoded(made), images.count)
        work.disk = 2 * (count + images.count * ("train" in job.files)) * 4 * (made.side / 8) ** 2
        work.memory = memory_of(made, settings.sample)

    def _guided(self, job: Job, work: Work) -> None:
        images, settings = self._images(job.wildcards["dataset"]), self._sampled(job).guidance
        made = self._diffusion(self._sampled(job).generator, job.wildcards["dataset"], settings.sample)
        count = images.classes * settings.attempts_per_class
        steps = settings.share * settings.sample.steps
        # A gradient takes as long as three passes
        work.add(made_by.latent(made, settings.sample), count * (1 + 2 * settings.share))
        work.add(made_by.decoded(made), count * (1 + 3 * steps))
        work.add(self._pass(settings.classifier, images), count * (1 + 3 * steps) + images.count)
        work.disk = 2 * count * 4 * (made.side / 8) ** 2
        work.memory = 3 * memory_of(made, settings.sample)

    def _gate(self, job: Job, work: Work) -> None:
        images, settings = self._images(job.wildcards["dataset"]), self._sampled(job)
        sampled = getattr(settings, "latents", None) or settings.guidance
        made = self._diffusion(settings.generator, job.wildcards["dataset"], sampled.sample)
        count = images.classes * sampled.attempts_per_class
        work.add(made_by.decoded(made), count)
        looked_at = count + images.count + self.sizes.total(job.files["val"])
        work.add(self._pass(settings.gate.classifier, images), looked_at)
        work.disk = stored_bytes(Images(count, images.side, images.classes))
        work.memory = memory_of(made, sampled.sample)

    def _scale_curve(self, job: Job, work: Work) -> None:
        images, settings = self._images(job.wildcards["dataset"]), self._sampled(job)
        made = self._diffusion(settings.generator, job.wildcards["dataset"], settings.latents.sample)
        count = len(settings.curve.scales) * images.classes * settings.curve.attempts_per_class
        work.add(made_by.latent(made, settings.latents.sample), count)
        work.add(made_by.decoded(made), count)
        assert self.config.assess is not None
        work.add(self._pass(self.config.assess.judge, images), count)
        work.memory = memory_of(made, settings.latents.sample)

    # Classifiers

    def _pass(self, recipe: str, images: Images) -> Operation:
        return image_pass(self.config.recipes[recipe].network, images)

    def _train(self, job: Job, work: Work) -> None:
        recipe, images = self.config.recipes[job.wildcards["recipe"]], self.sizes.of(job.files["train"][0])
        assert isinstance(recipe, RecipeSettings)
        steps = recipe.epochs * math.ceil(images.count / recipe.batch_size)
        size = size_of(recipe.network, images)
        work.disk = size.parameters * FLOAT
        if recipe.network.frozen:
            work.add(HEAD_STEP, steps)
            work.memory = size.parameters * FLOAT / MIB
            return
        work.add(training_step(recipe, images, self.precision), steps * (1 + exposed(recipe)))
        if recipe.teacher:
            work.add(self._pass(recipe.teacher.recipe, images), steps * recipe.batch_size)
        work.add(image_pass(recipe.network, images), recipe.epochs * self.sizes.total(job.files["val"]))
        self._trained_memory(work, recipe.network, images, recipe.batch_size, job.memory)

    def _trained_memory(self, work: Work, network: Any, images: Images, batch: int, asked: int) -> None:
        size = size_of(network, images)
        kept = 3.0 * images.count * images.side**2
        if images.side > 64:  # images take half of a job's memory, or are streamed
            kept = min(kept, asked * MIB / 2)
        work.memory = (kept + FLOAT * (4 * size.parameters + 1.2 * batch * size.activations)) / MIB
        work.disk = work.disk or size.parameters * FLOAT

    def _import_checkpoint(self, job: Job, work: Work) -> None:
        network = self.config.recipes[job.wildcards["recipe"]].network
        images = self.sizes.of(job.files["val"][0])
        work.add(image_pass(network, images), images.count)
        work.disk = size_of(network, images).parameters * FLOAT
        work.memory = 2 * work.disk / MIB

    def _backbone_features(self, job: Job, work: Work) -> None:
        settings, images = self.plan.backbones[job.wildcards["backbone"]], self.sizes.of(job.name)
        size = size_of(settings.network, images)
        work.add(image_pass(settings.network, images), images.count * (1 + settings.views))
        work.disk = images.count * (1 + settings.views) * size.features * FLOAT
        work.memory = (size.parameters + 64 * size.activations) * FLOAT / MIB

    def _extract(self, job: Job, work: Work) -> None:
        network, images = self._evaluated(job)
        count = self.sizes.total(job.files["images"])
        size = size_of(network, images)
        if "cached" not in job.files:
            work.add(image_pass(network, images), count)
        work.disk = count * (size.features + images.classes + 8) * FLOAT
        work.memory = (size.parameters + 512 * 0.05 * size.activations) * FLOAT / MIB

    def _evaluated(self, job: Job) -> tuple[Any, Images]:
        return self.config.recipes[job.wildcards["recipe"]].network, self._images(job.wildcards["dataset"])

    def _samples(self, dataset: str, network: Any) -> Samples:
        images = self._images(dataset)
        parts = {part: self._images(dataset, part).count for part in self.config.datasets[dataset].evaluated_parts}
        tested = sum(count for part, count in parts.items() if part not in ("train", "val", "calibration"))
        width = size_of(network, images).features
        return Samples(
            images.count, parts["val"], parts["ood_validation"], tested - parts["ood_validation"], width, images.classes
        )

    def _score(self, job: Job, work: Work) -> None:
        network, _ = self._evaluated(job)
        samples = self._samples(job.wildcards["dataset"], network)
        settings = ScoreSettings.parse(job.settings)
        work.add(scoring(settings.model_copy(update={"code": {}}), samples), 1)
        work.disk = samples.tested * (FLOAT * len(settings.detectors) + 8)
        work.memory = 2 * (samples.train + samples.tested / 4) * samples.features * FLOAT / MIB

    def _score_model(self, job: Job, work: Work) -> None:
        network, images = self._evaluated(job)
        settings, count = ScoreSettings.parse(job.settings), self.sizes.total(job.files["images"])
        each = {"maps": 1.5, "gradients": 4.0}[job.wildcards["access"]]
        tried = sum(len(detector.candidates()) for detector in settings.detectors.values())
        operation = image_pass(network, images)
        work.add(operation, each * count * len(settings.detectors))
        searched = self._images(job.wildcards["dataset"], "val").count
        work.add(operation, each * 2 * searched * (tried - len(settings.detectors)))
        work.memory = 128 * size_of(network, images).activations * FLOAT / MIB

    def _score_denoiser(self, job: Job, work: Work) -> None:
        dataset, count = job.wildcards["dataset"], self.sizes.total(job.files["images"])
        for detector in ScoreSettings.parse(job.settings).detectors.values():
            made = self._diffusion(getattr(detector, "generator", ""), dataset)
            passes = len({(one["log_snr"], one["seed"]) for one in (d.hyperparameters for d in detector.candidates())})
            work.add(made_by.snapshot(made), passes * count)
        work.memory = 256 * 8 * self._images(dataset).side ** 2 * FLOAT / MIB

    def _score_ensemble(self, job: Job, work: Work) -> None:
        network, _ = self._evaluated(job)
        samples = self._samples(job.wildcards["dataset"], network)
        work.memory = len(job.inputs) * samples.tested * samples.classes * FLOAT / MIB

    # Tables

    def _plot(self, job: Job, work: Work) -> None:
        table = self.config.tables[job.wildcards["table"]]
        shown = len(table.datasets) * len(table.all_recipes) * len(table.all_detectors)
        work.add(Operation("figures of a recipe and detector", 0.0, usual=0.2), shown)

    def _tabulate(self, job: Job, work: Work) -> None:
        table = self.config.tables[job.wildcards["table"]]
        rows = sum(
            self._samples(dataset, self.config.recipes[recipe].network).tested
            for dataset in table.datasets
            for recipe in table.all_recipes
        )
        cells = rows * len(table.seeds) * len(table.all_detectors)
        work.add(Operation("a million scores of a table", 0.0, usual=9.0), cells / 1e6)
        work.memory = cells * 8 * 4 / MIB


STATISTICS = 17 * 240
"""Images behind the stored statistics of a BigGAN that is fitted."""


TRIED = 16
"""Files that are read in a trial."""
WRITTEN = 2.0
"""Times that an image takes in `prepare`, of what reading it takes: its digest, and its encoding."""


def read_image(settings: PartSettings | None, images: Images) -> Operation:
    """An image that is read or computed, cut, and written; files that are there are tried."""
    usual = 1e-4 + 1.2e-7 * images.side**2
    source: Any = settings.source if settings else None
    if settings is None or not isinstance(source, InFiles):
        return Operation(f"an image of {images.side} px prepared", 0.0, usual=usual)
    asked = settings.asked

    def trial(device: torch.device) -> Trial:
        listing = source.listed(asked)
        rows = np.unique(np.linspace(0, len(listing) - 1, TRIED).round().astype(int))
        chosen = listing.chosen(np.resize(rows, TRIED))

        def run(count: int) -> None:
            for _ in range(count):
                for _ in Reading(chosen, source):
                    pass

        return run

    name = f"an image of {images.side} px read from {digest(source.canonical())}"
    return Operation(name, 0.0, trial, WRITTEN / TRIED, usual)


def stored_bytes(images: Images) -> float:
    """Of a set of images: raw up to 64 pixels a side, encoded without loss beyond."""
    return images.count * (images.side**2 * 3 * (1.0 if images.side <= 64 else 0.6) + 100)


def drawn_for(generator: Any, images: Images) -> float:
    """Images that are drawn for those of a block: it is drawn whole."""
    return float(
        max(images.count, min(generator.block_size, images.count if generator.kind == "ready-made" else 10**9))
    )


def nearest(images: float, bank: float, shift: int, side: int) -> float:
    """Billions of operations of comparing images with a bank at every shift."""
    whole = images * bank * (2 * shift + 1) ** 2 * 2.0 * side**2 * 3
    few = images * 16 * (2 * shift + 1) ** 2 * 6.0 * side**2 * 3 + images * bank * 2.0 * 192
    return (whole if bank <= 2000 else few) / 1e9


def memory_of(made: made_by.Diffusion, sample: Any) -> float:
    """MiB of a Stable Diffusion that samples."""
    parameters = 1.3 * (made.denoising.parameters + made.decoding.parameters)
    return (parameters + sample.batch_size * 0.1 * made.denoising.activations) * FLOAT / MIB
