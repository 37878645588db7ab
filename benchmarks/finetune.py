"""Fine-tuning against a frozen backbone on the photographs of examples/photos: `python benchmarks/finetune.py`.

The recipes of configs/finetune.yaml, without its table: the loss of the first batch, accuracy, and near AUROC of kNN.
"""

import argparse
import contextlib
import io
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch.nn.functional import cross_entropy

from synthood.common.images import ImageSet, pixel_sha256
from synthood.common.iterate import ResumeFile
from synthood.common.seeds import derived_seed
from synthood.config.load import load
from synthood.config.read import read
from synthood.data.prepare import prepare
from synthood.evaluation.detectors.neighbours import Knn
from synthood.evaluation.features import Features, Reference
from synthood.training.backbone_features import features_of
from synthood.training.backbone_settings import BackboneSettings
from synthood.training.fit import train
from synthood.training.networks.frozen import FeatureSet, backbone_digest
from synthood.training.networks.model import Classifier, logits_and_features
from synthood.training.networks.pretrained import initial, input_statistics
from synthood.training.settings import RecipeSettings, TrainSettings
from synthood.workflow.plan import Plan

ROOT = Path(__file__).parents[1]
CPU = torch.device("cpu")


def cached(recipe: RecipeSettings, images: ImageSet, train_images: ImageSet) -> FeatureSet:
    """What the stage `backbone_features` computes, in memory."""
    network = initial(recipe.network, 2, seed=0, report=len).eval()
    mean, std = input_statistics(recipe.network, train_images.images, len)
    below = Classifier(recipe.network.architecture, images.classes, mean, std, network)
    images.columns["pixel_sha256"] = pixel_sha256(images.images)
    # An ImageSet has what is read of an OpenSet
    parts = features_of(below, BackboneSettings(network=recipe.network), images, "", CPU)  # type: ignore[arg-type]
    features = np.concatenate([part["features"] for part in parts])
    digests = images.columns["pixel_sha256"]
    return FeatureSet(features, images.labels, digests, images.classes, mean, std, backbone_digest(network))


def first_loss(recipe: RecipeSettings, seed: int, images: ImageSet, trained: Classifier) -> float:
    """Cross-entropy of 128 images before the first step, by batch normalisation as in training."""
    network = initial(recipe.network, len(images.classes), derived_seed(seed, "network"), report=len)
    recipe.network.freeze_weights(network)
    rows = np.linspace(0, len(images) - 1, 128).round().astype(int)
    with torch.no_grad():
        inputs = trained.normalised(torch.from_numpy(images.images[rows]))
        logits = network.train(not recipe.network.frozen)(inputs)
    return float(cross_entropy(logits, torch.from_numpy(images.labels[rows])))


def measured(recipe: RecipeSettings, seed: int, sets: dict[str, ImageSet], k: int) -> str:
    """One training, as a row of the table."""
    began = time.process_time()
    given = {part: sets[part] for part in ("train", "val")}
    if recipe.network.frozen:
        # `train` takes images or their features
        given = {part: cached(recipe, images, sets["train"]) for part, images in given.items()}  # type: ignore[misc]
    with contextlib.redirect_stdout(io.StringIO()) as log:
        settings = TrainSettings(recipe=recipe, precision="float32")
        classifier, _, _ = train(settings, seed, given["train"], given["val"], None, CPU, ResumeFile(None, ""))
    assert log.getvalue()
    found = {
        part: logits_and_features(classifier, sets[part].images, CPU) for part in ("train", "val", "test", "unknown")
    }
    parts = {part: Features(*both, torch.from_numpy(sets[part].labels)) for part, both in found.items()}
    head = classifier.network.head
    score = Knn(k=k).fit(Reference(parts["train"], parts["val"], head.weight.detach(), head.bias.detach()))
    known, unknown = (score.score(parts[part]).numpy() for part in ("test", "unknown"))
    auroc = roc_auc_score(np.repeat([1, 0], [len(known), len(unknown)]), np.concatenate([known, unknown]))
    accuracy = float((found["test"][0].argmax(1).numpy() == sets["test"].labels).mean())
    loss = first_loss(recipe, seed, sets["train"], classifier)
    return f"{loss:.3f} | {accuracy:.1%} | {auroc:.1%} | {time.process_time() - began:.0f} s of CPU"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, default=ROOT / "examples/photos/clothing")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--recipes", nargs="+", default=["frozen", "stages", "finetune"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    raw = read(ROOT / "configs/finetune.yaml")[0]
    raw["datasets"]["photos"]["id"]["path"] = str(options.images)
    config = load(raw)
    plan, recipes = Plan(config), config.recipes
    sets = {part: prepare(plan.settings_of_part("photos", part)) for part in ("train", "val", "test", "unknown")}
    print(
        {part: len(images) for part, images in sets.items()}, f"log(classes) {np.log(len(sets['train'].classes)):.3f}"
    )
    print("recipe | loss before training | accuracy | kNN near AUROC")
    for name in options.recipes:
        for seed in options.seeds:
            recipe = recipes[name]
            knn = config.detectors["knn"]
            assert isinstance(recipe, RecipeSettings)
            assert isinstance(knn, Knn)
            assert isinstance(knn.k, int)
            print(f"{name}, seed {seed} | {measured(recipe, seed, sets, knn.k)}", flush=True)


if __name__ == "__main__":
    main()
