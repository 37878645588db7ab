"""Uses what the recipes of CONTRIBUTING.md add, in the copy of the package that is on the path; prints JSON."""

import json
import re
from pathlib import Path

import torch
import yaml

from synthood.config.listing import listing
from synthood.config.load import load
from synthood.data.prepare import prepare
from synthood.training.methods.term import Context
from synthood.training.networks.residual import build
from synthood.training.networks.settings import Network
from synthood.workflow.plausible import wrong_files
from toy_features import EVERY, toy_reference
from toy_training import batch_of, reaches

text = Path("CONTRIBUTING.md").read_text()
custom = {(one := yaml.safe_load(found))["file"]: one for found in re.findall(r"`(\{kind: custom, .*?\})`", text)}
(loss,) = (yaml.safe_load(one) for one in re.findall(r"`(custom: \{.*?\})`", text, re.DOTALL))
raw = yaml.safe_load(Path("config.yaml").read_text())
raw["detectors"] |= {"new": {"kind": "margin", "power": [0.5, 1.0]}, "mine": custom["my/margin.py"]}
raw["recipes"] |= {"new": {"like": "ce", "short_features": {"weight": 0.1}}, "mine": {"like": "ce", **loss}}
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
found = {
    "scores": {
        name: [one.fit(reference)(reference.val).tolist() for one in config.detectors[name].candidates()]
        for name in ("new", "mine")
    },
    "losses": terms,
    "squares": float(batch.features.square().sum(1).mean().detach()),
    "stripes": {name: prepare(config.datasets["stripes"].part(name)).images.tolist() for name in stripes},
    "near": config.datasets["dogs"].near["wolves"].path,
    "listed": {family: listing(family).splitlines() for family in ("detectors", "losses", "sources", "benchmarks")},
    "tested": [one.kind for one in EVERY],
    "mistakes": [str(one) for one in wrong_files(config) if "my/" in str(one)],
}
print(json.dumps(found))
