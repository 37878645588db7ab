"""The curve over the length of the token's move, on the tiny Stable Diffusion."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image

from command_lines import writing
from synthood.common.tensors import write_tensors
from synthood.generators.diffusion import sampling
from synthood.generators.diffusion.samplers.dpm_solver import StableDiffusionSample
from synthood.generators.folder import Description
from synthood.outliers import scale_curve
from synthood.outliers.class_words import text_encoder_digest
from synthood.outliers.latents import outlier_latents
from synthood.outliers.latents_settings import CurveSettings, LatentsSettings, ScaleCurveSettings
from synthood.outliers.scale_curve import draw_curve
from synthood.training.networks.model import Classifier, logits_and_features

SCALES = [0.5, 8.0]
LATENTS = LatentsSettings(
    scale=2.0, attempts_per_class=4, sample=StableDiffusionSample(steps=2, batch_size=4, guidance=9.0)
)
SETTINGS = ScaleCurveSettings(latents=LATENTS, curve=CurveSettings(scales=SCALES, attempts_per_class=4))
OUTLIERS = torch.nn.functional.normalize(torch.randn(4, 16, generator=torch.Generator().manual_seed(0)))
LABELS = torch.tensor([0, 0, 1, 1])


@pytest.fixture
def divided(
    pipeline: StableDiffusionPipeline, description: Description, judge: Classifier, tmp_path: Path
) -> tuple[Classifier, Path]:
    """The judge with a bias that puts half of the latents of a small move into each class."""
    logits = judged(pipeline, description, judge, SCALES[0])
    path = tmp_path / "divided"
    judge.save(path)
    other = Classifier.load(path)
    with torch.no_grad():
        other.network.head.bias[0] -= (logits[:, 0] - logits[:, 1]).median()
    other.save(path)
    return other, path


def judged(
    pipeline: StableDiffusionPipeline, description: Description, judge: Classifier, scale: float
) -> torch.Tensor:
    settings = LATENTS.model_copy(update={"scale": scale})
    made, *_ = outlier_latents(pipeline, description, OUTLIERS, LABELS, settings)
    images = sampling.decoded(pipeline, made).numpy()
    return logits_and_features(judge, images, torch.device("cpu"))[0]


def test_the_stage_writes_a_row_for_each_scale_and_a_picture(
    folder: Path,
    pipeline: StableDiffusionPipeline,
    description: Description,
    divided: tuple[Classifier, Path],
    train_file: Path,
    tmp_path: Path,
) -> None:
    judge, judge_file = divided
    space = {"encoder": "text-aligned", "anchors": "token", "text_encoder": text_encoder_digest(pipeline)}
    header = {"classes": description.classes, "space": space}
    write_tensors(tmp_path / "boundary", {"embeddings": OUTLIERS.numpy(), "labels": LABELS.numpy()}, header)
    outputs = [tmp_path / "curve.csv", tmp_path / "curve.png"]
    arguments = {
        "settings": SETTINGS.canonical(),
        "generator": folder,
        "boundary": tmp_path / "boundary",
        "train": train_file,
        "judge": judge_file,
    }
    line = [part for key, value in arguments.items() for part in (f"--{key}", str(value))]
    scale_curve.main([*line, *writing(scale_curve.main, outputs)])
    rows = pd.read_csv(outputs[0])
    assert list(rows) == ["scale", "latents", "intended_share", "other_class_share", "surely_other_class_share"]
    assert rows["scale"].tolist() == SCALES
    assert rows["latents"].tolist() == [8, 8]
    for scale, row in zip(SCALES, rows.itertuples(), strict=True):
        predictions = judged(pipeline, description, judge, scale).argmax(1).tolist()
        intended = [0, 0, 0, 0, 1, 1, 1, 1]
        kept = sum(p == i for p, i in zip(predictions, intended, strict=True)) / 8
        assert row.intended_share == pytest.approx(kept)
        assert row.other_class_share == pytest.approx(1 - kept)
        assert row.surely_other_class_share <= row.other_class_share
    with Image.open(outputs[1]) as picture:
        assert picture.format == "PNG"
        assert picture.width > 300


def test_scales_that_double_are_as_far_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a linear axis five of the demo's six points were in the left quarter."""
    scales = [0.25, 0.5, 1.0, 1.5, 2.0, 8.0]
    shares = dict.fromkeys(scale_curve.LINES, 0.5)
    monkeypatch.setattr(scale_curve.plt, "close", lambda figure: None)
    draw_curve(tmp_path / "curve.png", pd.DataFrame({"scale": scales, "latents": 8, **shares}), 8.0)
    axis = scale_curve.plt.gcf().axes[0]
    places = axis.transData.transform([(scale, 0.5) for scale in scales])[:, 0]
    assert places[1] - places[0] == pytest.approx(places[2] - places[1]) == pytest.approx(places[4] - places[2])
    assert [label.get_text() for label in axis.get_xticklabels()] == ["0.25", "0.5", "1", "1.5", "2", "8"]
    monkeypatch.undo()
    scale_curve.plt.close("all")


def test_the_configured_scale_is_a_line_where_it_is_a_number(tmp_path: Path) -> None:
    """Drawn twice the bytes are the same; `released` has no place on the axis."""
    shares = {"intended_share": [1.0, 0.5], "other_class_share": [0.0, 0.5], "surely_other_class_share": [0.0, 0.25]}
    rows = pd.DataFrame({"scale": SCALES, "latents": [8, 8], **shares})
    for name, chosen in (("a", 2.0), ("b", 2.0), ("moved", 4.0), ("released", "released")):
        draw_curve(tmp_path / name, rows, chosen)
    drawn = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert drawn["a"] == drawn["b"]
    assert len(set(drawn.values())) == 3
    with Image.open(tmp_path / "a") as picture:
        assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 10
