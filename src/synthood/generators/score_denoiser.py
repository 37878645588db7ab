"""Stage `score_denoiser`: confidence of detectors that look inside a denoiser fitted on ID images."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch

from synthood.common import stage
from synthood.common.command import Output
from synthood.common.devices import device_for, set_threads
from synthood.common.images import check_sizes, open_images
from synthood.common.progress import Progress
from synthood.common.timing import Seconds, timed
from synthood.errors import SynthoodError
from synthood.evaluation.detectors.cfs import Cfs, output_name
from synthood.evaluation.feature_files import FeatureFolder
from synthood.evaluation.features import Features
from synthood.evaluation.score import confidences, fitted_on
from synthood.evaluation.settings import ScoreSettings
from synthood.evaluation.summary import write
from synthood.evaluation.times import TIMES, times_of
from synthood.generators.diffusion.snapshots import Snapshots
from synthood.generators.folder import Description

BATCH = 256


class DenoiserFolder(FeatureFolder):
    """A model's features, with what denoisers make of the same images as outputs."""

    def __init__(
        self,
        folder: Path,
        images: Sequence[Path],
        generators: Sequence[Path],
        asked: Sequence[Cfs],
        device: torch.device,
    ) -> None:
        """Raises SynthoodError for a generator that is missing or no denoiser, before any pass."""
        super().__init__(folder)
        self.images = {path.stem: path for path in images}
        self.passes = sorted({(one.generator, one.log_snr, one.seed) for cfs in asked for one in cfs.candidates()})
        self.seconds: Seconds = {}
        places = {path.name: path for path in generators}
        for name, *_ in self.passes:
            if name not in places:
                raise SynthoodError(f"{name}: no such generator among those given ({', '.join(sorted(places))})")
            if (kind := Description.read(places[name]).kind) != "stable-diffusion":
                raise SynthoodError(f"{places[name]}: a {kind}; cfs looks inside the U-Net of a stable-diffusion")
        self.denoisers = {name: Snapshots.load(places[name], device) for name in {name for name, *_ in self.passes}}

    def part(self, part: str) -> Features:
        """With the pooled maps of every pass that is asked for."""
        found = super().part(part)
        images, _ = open_images(self.images[part])
        if len(images) != len(found):
            raise SynthoodError(
                f"{self.images[part]}: {len(images)} images, {self.folder} has {len(found)}; extract anew"
            )
        outputs = dict[str, list[torch.Tensor]]()
        starts = range(0, len(images), BATCH)
        progress = Progress(part, len(starts) * len(self.passes))
        step = 0
        with timed(self.seconds, part):
            for name, log_snr, seed in self.passes:
                for start in starts:
                    maps = self.denoisers[name].of(np.asarray(images[start : start + BATCH]), log_snr, seed)
                    for region, values in maps.items():
                        outputs.setdefault(output_name(name, log_snr, seed, region), []).append(values)
                    step += 1
                    progress.update(step, {})
        progress.close()
        return replace(found, outputs={name: torch.cat(each) for name, each in outputs.items()})


@stage.Stage
def main(
    job: stage.Job,
    settings: ScoreSettings,
    threads: int,
    features: Annotated[Path, "folder that extract wrote"],
    images: Annotated[list[Path], "image sets; a part is named by its file"],
    generators: Annotated[list[Path], "fitted generators, named by their folders"],
    scores: Output,
    metrics: Output,
    search: Output,
    gpus: Annotated[int, "0: compute on the CPU"] = 0,
) -> None:
    set_threads(threads)
    check_sizes(images)
    asked = [one for one in settings.detectors.values() if isinstance(one, Cfs)]
    fitting, scoring = dict[str, float](), dict[str, float]()
    with device_for(gpus) as device:
        folder = DenoiserFolder(features, images, generators, asked, device)
        fitted, candidates = fitted_on(folder, settings, fitting)
        found = confidences(folder, settings, fitted, scoring)
    # Passes are those of all detectors, and each is charged for them as for one that it takes alone
    for name in settings.detectors:
        for part, seconds in folder.seconds.items():
            into = scoring if part in settings.parts else fitting
            into[name] = into.get(name, 0.0) + seconds
    job.facts[TIMES] = times_of(fitting, scoring, len(found))
    write(job, (scores, metrics, search), found, candidates, settings)
    print(f"{scores}: {len(found)} samples, {len(settings.detectors)} detectors")


if __name__ == "__main__":
    main()
