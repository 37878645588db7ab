"""State dicts of other code as a classifier of ours: read without running anything, renamed, checked."""

from pathlib import Path

from synthood.common.states import Report, State, listed, read_states
from synthood.errors import SynthoodError, printable
from synthood.training.networks.architectures.base import ImageNetwork, NetworkSettings, build
from synthood.training.networks.checkpoint_settings import CheckpointRecipe
from synthood.training.networks.fitting import Choice, fitted
from synthood.training.networks.model import Classifier

KEYS = "say which by `weights`, `prefix`, `ignore` or `rename` (docs/detectors.md)"


def imported(recipe: CheckpointRecipe, classes: list[str], report: Report = print) -> Classifier:
    """The classifier of a checkpoint, for a data set's classes in their order.

    Knows the keys of torchvision's, OpenOOD's and the public CIFAR ResNets, of public wide and dense networks, of timm,
    and of our own files, in the wrappings of docs/detectors.md. Raises SynthoodError where weights are missing,
    unknown, of another shape or not finite, or where several fit; `report` gets what was chosen and left out.
    """
    network = build(recipe.network, len(classes), seed=0)
    states = read_states(Path(recipe.path), recipe.sha256)
    choice = Choice(recipe.weights, recipe.prefix, tuple(recipe.ignore), recipe.rename, KEYS)
    load_state(network, recipe.network, states, choice, recipe.path, report)
    return Classifier(recipe.network, classes, recipe.mean, recipe.std, network.eval())


def load_state(
    network: ImageNetwork,
    settings: NetworkSettings,
    states: dict[str, State],
    choice: Choice,
    where: str,
    report: Report,
    new_head: bool = False,
) -> None:
    """Puts the weights of a file into a network; with `new_head` a last Linear of other classes is not taken."""
    where, expected = printable(where), network.state_dict()
    state, notes = fitted(states, expected, settings.translations(network), choice, where, new_head)
    # Counters of batches, which old files lack, decide nothing; the initial ones stay.
    network.load_state_dict({key: state.get(key, value) for key, value in expected.items()})
    for note in notes:
        report(f"{where}: {note}")


def check(state: State, expected: State, where: str) -> None:
    """Raises where a state is not one of the network's."""
    missing, unknown = sorted(expected.keys() - state.keys()), sorted(state.keys() - expected.keys())
    if missing or unknown:
        told = [f"{what} {listed(keys)}" for what, keys in (("missing", missing), ("unknown", unknown)) if keys]
        raise SynthoodError(f"{where}: weights that do not fit `network`: {'; '.join(told)}")
    for key, value in state.items():
        if value.shape != expected[key].shape:
            shapes = f"{list(value.shape)}, the network's {list(expected[key].shape)}"
            raise SynthoodError(
                f"{where}: {key} has shape {shapes}; fix network.name, its width or image_size, or the classes"
            )
        if value.is_floating_point() and not value.isfinite().all():
            raise SynthoodError(f"{where}: {key} is not finite; the checkpoint is broken")
