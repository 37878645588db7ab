"""How long a run takes: a few real steps of this machine, times their number."""

import contextlib
import io
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from synthood.common.cores import cores
from synthood.common.devices import device_for
from synthood.common.images import ImageSet
from synthood.common.iterate import ResumeFile
from synthood.config.models import Config
from synthood.data.files.decode import Reading
from synthood.data.selection import SPLITS, Selection
from synthood.data.settings import DatasetSettings
from synthood.data.sources.in_files import IdFiles, InFiles
from synthood.training import fit
from synthood.training.networks.architectures.base import NetworkSettings
from synthood.training.networks.architectures.from_timm import TimmNetwork
from synthood.training.networks.architectures.from_torchvision import TorchvisionNetwork
from synthood.training.networks.model import Classifier, logits_and_features
from synthood.training.networks.pretrained import initial
from synthood.training.settings import RecipeSettings, TrainSettings
from synthood.workflow.run_log import duration

SHORT, LONG = 2, 6
"""Steps of two trainings, whose difference is free of what every training begins and ends with."""
TRIED = 64
"""Images that are decoded, and extracted, for the measurement."""
PART, REST = 2.0, 20.0
"""Seconds of starts, imports and files: of a part's preparation, of all jobs together that are named nowhere here."""
JOBS_OF_MODEL = 3
"""Training, extraction and scores, each of which imports torch."""
HEAD = 0.004
"""Seconds of a step of a linear head on cached features."""


@dataclass(frozen=True)
class Estimate:
    """Seconds of a run in all; of a job's start, an image's preparation, a step, and an image's extraction."""

    total: float
    start: float
    prepare: float
    step: float
    extract: float
    cores: int
    gpus: int

    def __str__(self) -> str:
        what = f"{self.cores} core" + "s" * (self.cores != 1) + (f", {self.gpus} GPU" if self.gpus else ", no GPU")
        return f"about {about(self.total)} on this machine ({what})"


def about(seconds: float) -> str:
    """Seconds in whole minutes from two on."""
    return duration(seconds) if seconds < 120 or seconds >= 7200 else f"{round(seconds / 60)} minutes"


def estimate(config: Config, gpus: int) -> Estimate:
    """Measures steps of the only recipe on images of the only dataset, one thread each as the workflow's jobs do."""
    (dataset,) = config.datasets.values()
    (table,) = config.tables.values()
    (recipe,) = config.recipes.values()
    source = dataset.taught
    assert isinstance(source, IdFiles)
    counts = {part: len(source.listed(Selection(part=part))) for part in SPLITS}
    before = time.perf_counter()
    images = _some_images(source)
    prepare = (time.perf_counter() - before) / len(images.labels)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with device_for(min(1, gpus)) as device:
            step = _step(recipe, images, device, config) if isinstance(recipe, RecipeSettings) else 0.0
            extract = _extract(recipe, images, device)
    finally:
        torch.set_num_threads(threads)
    count = cores()
    parts = len(dataset.evaluated_parts)
    all_images = sum(counts.values()) + sum(_images_of(dataset, name) for name in dataset.ood_sets)
    start = start_of_a_job(recipe.network)
    seconds_of_model = JOBS_OF_MODEL * start + extract * all_images
    once = 0.0
    if _frozen(recipe):
        once, seconds_of_model = (extract * all_images + start * parts) / count, JOBS_OF_MODEL * start
    if isinstance(recipe, RecipeSettings):
        steps = -(-counts["train"] // recipe.batch_size)
        checked = 0 if _frozen(recipe) else counts["val"]
        seconds_of_model += recipe.epochs * (steps * step + extract * checked)
    rounds = -(-len(table.seeds) // (gpus or count))
    total = once + rounds * seconds_of_model + (2 * prepare * all_images + PART * parts) / count + REST
    return Estimate(total, start, prepare, step, extract, count, gpus)


def start_of_a_job(network: NetworkSettings) -> float:
    """Seconds in which a process imports what a job of the network needs."""
    modules = ["synthood.training.train"]
    modules += ["timm"] if isinstance(network, TimmNetwork) else []
    modules += ["torchvision"] if isinstance(network, TorchvisionNetwork) else []
    before = time.perf_counter()
    subprocess.run([sys.executable, "-c", f"import {', '.join(modules)}"], check=True)
    return time.perf_counter() - before


def _frozen(recipe: Any) -> bool:
    return getattr(recipe.network, "freeze", "none") == "backbone"


def _images_of(dataset: DatasetSettings, name: str) -> int:
    """Images of an OOD set."""
    settings = dataset.part(name)
    if isinstance(settings.source, InFiles):
        return len(settings.source.listed(settings.asked))
    return int(getattr(settings.source, "images", 0))


def _some_images(source: IdFiles) -> ImageSet:
    """Training images, evenly spread."""
    listing = source.listed(Selection(part="train"))
    rows = np.unique(np.linspace(0, len(listing) - 1, min(TRIED, len(listing))).round().astype(int))
    reading = Reading(listing.chosen(rows), source)
    pixels = np.stack(list(reading))
    return ImageSet(pixels, reading.labels, listing.classes)


def _repeated(images: ImageSet, count: int) -> ImageSet:
    rows = np.arange(count) % len(images.labels)
    return ImageSet(images.images[rows], images.labels[rows], images.classes)


def _step(recipe: RecipeSettings, images: ImageSet, device: torch.device, config: Config) -> float:
    """Seconds of a training step; one of a head alone is not worth measuring."""
    if _frozen(recipe):
        return HEAD
    settings = TrainSettings(recipe=recipe.model_copy(update={"epochs": 1}), precision=config.precision)
    few = _repeated(images, 8)

    def seconds(steps: int) -> float:
        real = _repeated(images, steps * recipe.batch_size)
        before = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            fit.train(settings, 0, real, few, None, device, ResumeFile(None, ""))
        return time.perf_counter() - before

    seconds(1)
    return max(1e-6, (seconds(LONG) - seconds(SHORT)) / (LONG - SHORT))


def _extract(recipe: Any, images: ImageSet, device: torch.device) -> float:
    """Seconds of an image's way through the network."""
    network = initial(recipe.network, len(images.classes), 0, report=lambda note: None).to(device)
    classifier = Classifier(recipe.network, images.classes, [0.5] * 3, [0.25] * 3, network)
    logits_and_features(classifier, images.images[:2], device)
    before = time.perf_counter()
    logits_and_features(classifier, images.images, device)
    return (time.perf_counter() - before) / len(images.labels)
