"""CFS from the configuration by the workflow to its scores, which are those of a computation by hand."""

import numpy as np
import pandas as pd
import pytest
import torch

from checkouts import Workflow
from synthood.common.images import read_images
from synthood.generators.diffusion.snapshots import Snapshots

pytestmark = pytest.mark.workflow
RUN = "results/digits/models/ce/seed0"


def test_a_table_s_cfs_is_scored_inside_the_generator_that_it_names(fresh: Workflow) -> None:
    config = fresh.config
    config["detectors"]["cfs"] = {"kind": "cfs", "generator": "sd", "regions": ["encoder", "decoder"], "seed": 3}
    config["detectors"]["both"] = {"kind": "cfs", "generator": "sd"}
    config["tables"]["small"]["detectors"] += ["cfs", "both"]
    fresh.config = config
    done = fresh.run(f"{RUN}/denoiser/metrics.csv", cores=1)
    assert done.returncode == 0, done.stdout
    scores = pd.read_parquet(fresh.place / RUN / "denoiser/scores.parquet")
    assert scores["part"].unique().tolist() == ["test", "digits-8", "textures"]
    search = pd.read_csv(fresh.place / RUN / "denoiser/search.csv")
    assert len(search) == 2
    assert search["chosen"].sum() == 1

    inside = Snapshots.load(fresh.place / "results/digits/generators/sd", torch.device("cpu"))
    images = {
        part: read_images(fresh.place / f"results/digits/images/{part}.safetensors").images
        for part in ("train", "textures")
    }
    maps = {part: inside.of(own, 5.0, 0) for part, own in images.items()}
    distances = []
    for region in ("encoder", "decoder"):
        train, x = (maps[part][region].double().numpy() for part in ("train", "textures"))
        distances.append(np.mean((x - train.mean(0)) ** 2 / np.maximum(train.var(0), 1e-6), axis=1))
    found = scores.loc[scores["part"] == "textures", "both"].to_numpy()
    np.testing.assert_allclose(found, -np.mean(distances, axis=0), rtol=1e-4)
