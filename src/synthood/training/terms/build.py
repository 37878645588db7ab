"""The terms of a recipe's loss, for training and from the file of trained heads."""

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from synthood.common.seeds import derived_seed
from synthood.common.tensors import read_tensors
from synthood.errors import SynthoodError
from synthood.training.methods.base import Method
from synthood.training.methods.term import Context, Term


def terms_of(methods: Iterable[Method], context: Context, seed: int) -> nn.ModuleDict:
    """The parts of the loss other than cross-entropy, by name, initialised from the seed."""
    terms = {name: term for method in methods for name, term in method.terms(context).items()}
    return nn.ModuleDict({name: initialised(term, seed, name) for name, term in terms.items()})


def initialised(term: Term, seed: int, name: str) -> Term:
    """The term with its parameters drawn anew from the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(seed, name))
        for module in term.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                module.reset_parameters()
    return term


def learned(terms: nn.ModuleDict) -> dict[str, Tensor]:
    """What is kept of the terms, by name."""
    parts = [(name, term) for name, term in terms.items() if isinstance(term, Term)]
    state = [(name, key, value, term) for name, term in parts for key, value in term.state_dict().items()]
    return {f"{name}.{key}": value for name, key, value, term in state if key not in term.training_only_buffers}


def read_terms(path: Path, methods: Iterable[Method], features: int, classes: int) -> dict[str, Term]:
    """The terms of these methods as `train` left them in heads.safetensors."""
    context = Context(features, classes)
    terms = {name: term for method in methods for name, term in method.terms(context).items()}
    arrays, _ = read_tensors(path)
    for name, term in terms.items():
        own = {k.removeprefix(f"{name}."): torch.from_numpy(v) for k, v in arrays.items() if k.startswith(f"{name}.")}
        wrong = (set(own) ^ set(term.state_dict())) - set(term.training_only_buffers)
        if wrong or any(value.shape != term.state_dict()[key].shape for key, value in own.items()):
            raise SynthoodError(f"{path}: does not hold the head `{name}` of this recipe; train the recipe again")
        term.load_state_dict(own, strict=False)
        term.eval()
    return terms
