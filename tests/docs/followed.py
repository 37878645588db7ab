"""Uses what the recipes of CONTRIBUTING.md add, in the copy of the package that is on the path; prints JSON."""

import json
import re
from pathlib import Path

import numpy as np
import torch
import yaml

from synthood.common.images import ImageSet
from synthood.common.iterate import ResumeFile
from synthood.config.listing import listing
from synthood.config.load import load
from synthood.data.prepare import prepare
from synthood.evaluation.ranking import Ranking
from synthood.generators.block_settings import BlockSettings
from synthood.generators.kinds.fitting import FitTask, Fitting
from synthood.generators.kinds.sampling import Sampling
from synthood.generators.synthesise import synthesise
from synthood.training.methods.term import Context
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.residual import Network
from synthood.workflow.plausible import wrong_files
from toy_features import EVERY, toy_reference
from toy_training import batch_of, random, reaches

LISTED = ("detectors", "losses", "metrics", "sources", "benchmarks", "generators", "networks", "augmentations")
text = Path("CONTRIBUTING.md").read_text()
custom = {one["file"]: one for one in map(yaml.safe_load, re.findall(r"`(\{kind: custom, .*?\})`", text))}
(loss,) = (yaml.safe_load(one) for one in re.findall(r"`(custom: \{.*?\})`", text, re.DOTALL))
raw = yaml.safe_load(Path("config.yaml").read_text())
raw["detectors"] |= {"new": {"kind": "margin", "power": [0.5, 1.0]}, "mine": custom["my/margin.py"]}
raw["recipes"] |= {"new": {"like": "ce", "short_features": {"weight": 0.1}}, "mine": {"like": "ce", **loss}}
(mine,) = (
    yaml.safe_load(f"{{{', '.join(one)}}}")
    for one in re.findall(r"`(network: \{kind: custom, [^`]*\})` and `(augmentation: [^`]*)`", text)
)
raw["recipes"] |= {
    "plain": {"like": "ce", "network": {"kind": "plain"}, "augmentation": {"dimming": {"most": 0.25}}},
    "flat": {"like": "ce", **mine},
}
raw["generators"] |= {"new": {"kind": "grey", "images_per_class": 4, "block_size": 8}, "mine": custom["my/grey.py"]}
raw["tables"]["new"] = {"like": "small", "columns": ["detection_error", custom["my/accepted.py"]]}
stripes = {"new": {"kind": "stripes", "images": 4}, "mine": custom["my/stripes.py"]}
raw["datasets"] |= {"dogs": {"benchmark": "dogs", "path": "data"}, "stripes": {"like": "digits", "far": stripes}}
config = load(raw)

reference = toy_reference()
network = build(Network(name="resnet8", width=8), 3, seed=0)
batch, terms = batch_of(network, torch.tensor([0, 1, 1])), {}
for name in ("new", "mine"):
    (method,) = config.recipes[name].methods
    for term in method.terms(Context(network.head.in_features, 3)).values():
        ((_, value),) = term(batch).items()
        terms[name] = [float(value.detach()), reaches(network, value)]
        batch = batch_of(network, batch.labels)
pictures = (np.arange(4 * 27) * 7 % 251).astype(np.uint8).reshape(4, 3, 3, 3)
train, drawn = ImageSet(pictures, np.array([0, 1, 0, 1]), ["cat", "dog"]), {}
for name in ("new", "mine"):
    task = FitTask(train, Path(name).absolute(), torch.float32, torch.device("cpu"), ResumeFile(None, ""))
    config.generators[name].part(Fitting).fit_generator(task)
    job = BlockSettings(generator=config.generators[name].part(Sampling), block=0, block_size=8, count=3)
    drawn[name] = synthesise(task.folder, job).check(name).images.tolist()
images = torch.rand((50, 3, 8, 8), generator=random()) + 0.1
recipes = [config.recipes[name] for name in ("plain", "flat")]
networks = [build(recipe.network, 3, seed=0) for recipe in recipes]
changed = [
    recipe.augmentation.steps[0].prepared(8, 8, 0, torch.device("cpu"))(images.clamp(0, 1), random())
    for recipe in recipes
]
found = {
    "images": [pictures.tolist(), drawn],
    "scores": {
        name: [one.fit(reference)(reference.val).tolist() for one in config.detectors[name].candidates()]
        for name in ("new", "mine")
    },
    "losses": terms,
    "metrics": Ranking([3.0, 2.0, 1.0], [2.5, 0.0]).metrics(metrics=config.tables["new"].metrics),
    "squares": float(batch.features.square().sum(1).mean().detach()),
    "networks": [[*one(images).shape, one.head.in_features] for one in networks],
    "dimming": [float(bound) for bound in (1 - changed[0] / images.clamp(0, 1)).aminmax()],
    "mirrored": sum(torch.equal(one, other.flip(1)) for one, other in zip(changed[1], images.clamp(0, 1), strict=True)),
    "stripes": {name: prepare(config.datasets["stripes"].part(name)).images.tolist() for name in stripes},
    "near": config.datasets["dogs"].near["wolves"].path,
    "listed": {family: listing(family).splitlines() for family in LISTED},
    "tested": [one.kind for one in EVERY],
    "mistakes": [str(one) for one in wrong_files(config) if "my/" in str(one)],
}
found["metrics"] = {name: float(value[0]) for name, value in found["metrics"].items()}
print(json.dumps(found))
