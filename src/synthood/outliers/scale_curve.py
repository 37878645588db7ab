"""Stage `scale_curve`: the share of latents that keep their intended class, over the length of the token's move."""

from pathlib import Path
from typing import Annotated

import matplotlib
import numpy as np
import pandas as pd
import torch

from synthood.common import stage
from synthood.common.command import Output
from synthood.common.devices import device_for, set_threads
from synthood.common.images import open_images
from synthood.common.tensors import read_tensors
from synthood.generators.diffusion import pipelines
from synthood.generators.folder import Description
from synthood.generators.quality.measures import judged_shares
from synthood.outliers.class_words import text_encoder_digest
from synthood.outliers.latent_images import images_of
from synthood.outliers.latents import outlier_latents, outlier_names
from synthood.outliers.latents_settings import ScaleCurveSettings
from synthood.outliers.spaces import EmbeddingSpace
from synthood.training.networks.model import Classifier, logits_and_features

matplotlib.use("Agg")
from matplotlib import pyplot as plt

DPI = 110
LINES = {
    "intended_share": "intended class",
    "other_class_share": "another ID class",
    "surely_other_class_share": "another ID class, judge surely (> 0.9)",
}


def draw_curve(path: Path, rows: pd.DataFrame, chosen: object) -> None:
    """Shares with two standard errors; the configured scale as a line."""
    figure, axis = plt.subplots(figsize=(5.2, 3.4), dpi=DPI, layout="constrained")
    for index, (key, label) in enumerate(LINES.items()):
        error = 2 * np.sqrt(rows[key] * (1 - rows[key]) / rows["latents"])
        axis.errorbar(rows["scale"], rows[key], error, color=f"C{index}", label=label, marker="o", markersize=3)
    if isinstance(chosen, float):
        axis.axvline(chosen, color="0.6", linewidth=1, linestyle="--", label="latents.scale")
    axis.set_xscale("log")
    axis.set_xticks(rows["scale"], [f"{scale:g}" for scale in rows["scale"]])
    axis.minorticks_off()
    axis.set(xlabel="scale: move in lengths of the word's embedding", ylabel="share by the judge", ylim=(-0.02, 1.02))
    axis.legend(fontsize=8)
    figure.savefig(path, format="png", metadata={"Software": None})
    plt.close(figure)


@stage.Stage
def main(
    job: stage.Job,
    settings: ScaleCurveSettings,
    threads: int,
    generator: Annotated[Path, "folder of a Stable Diffusion"],
    boundary: Annotated[Path, "what boundary wrote"],
    train: Annotated[Path, "ID training images, for their size"],
    judge: Annotated[Path, "model trained on real images alone"],
    table: Output,
    figure: Output,
    gpus: Annotated[int, "0: compute on the CPU"] = 0,
) -> None:
    set_threads(threads)
    description = Description.read(generator)
    arrays, header = read_tensors(boundary, "embeddings", "labels")
    space = EmbeddingSpace.of(header, boundary)
    outliers, labels = (torch.from_numpy(arrays[name]) for name in ("embeddings", "labels"))
    height, width = open_images(train)[0].shape[1:3]
    classifier, rows = Classifier.load(judge), []
    with device_for(gpus) as device:
        pipeline = pipelines.load(generator).to(device)
        space.check(text_encoder_digest(pipeline), boundary)
        for scale in settings.curve.scales:
            moved = settings.latents.model_copy(update={"scale": scale})
            latents, intended, _, seeds = outlier_latents(pipeline, description, outliers, labels, moved)
            names = outlier_names(description, intended, seeds)
            images = images_of(pipeline, latents, height, width, names.__getitem__).numpy()
            logits, _ = logits_and_features(classifier, images, torch.device("cpu"))
            shares = judged_shares(logits.softmax(1).numpy(), intended.numpy())
            rows.append({"scale": scale, "latents": len(intended), **shares})
    frame = pd.DataFrame(rows)
    with job.writing(table) as path:
        frame.to_csv(path, index=False, float_format="%.4f", lineterminator="\n")
    with job.writing(figure) as path:
        draw_curve(path, frame, settings.latents.scale)
    print(frame.to_string(index=False))


if __name__ == "__main__":
    main()
