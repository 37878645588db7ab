"""How long a run takes."""

import pytest
import torch
from safetensors.torch import save_file

from class_folders import by_class
from synthood.cli import main
from synthood.config.load import load_file
from synthood.init.estimate import JOBS_OF_MODEL, PART, REST, Estimate, about, estimate
from synthood.training.networks.architectures.base import build
from synthood.training.networks.architectures.from_torchvision import TorchvisionNetwork


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(42.3, "42 s"), (90, "1 min 30 s"), (125, "2 minutes"), (3540, "59 minutes"), (9000, "2 h 30 min")],
)
def test_times_are_rounded(seconds, words):
    assert about(seconds) == words


def test_an_estimate_says_what_it_is_of():
    assert str(Estimate(600, 0, 0, 0, 0, 1, 0)) == "about 10 minutes on this machine (1 core, no GPU)"
    assert str(Estimate(600, 0, 0, 0, 0, 8, 2)) == "about 10 minutes on this machine (8 cores, 2 GPU)"


def test_the_time_is_that_of_the_measured_steps(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    by_class(tmp_path / "photos", {"a": 30, "b": 30, "c": 30})
    main(["init", "photos", "--held-out", "none", "--size", "16"])
    threads = torch.get_num_threads()
    found = estimate(load_file(tmp_path / "photos.yaml"), gpus=0)
    assert torch.get_num_threads() == threads
    assert min(found.start, found.prepare, found.step, found.extract) > 0
    images, steps, epochs = 90 + 3 * 200, 3, 60
    model = JOBS_OF_MODEL * found.start + found.extract * images + epochs * (steps * found.step + 9 * found.extract)
    rest = REST + (2 * found.prepare * images + 7 * PART) / found.cores
    assert found.total == pytest.approx(model + rest)


def test_under_a_frozen_backbone_each_part_has_a_job_that_starts_anew(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    by_class(tmp_path / "photos", {"a": 20, "b": 20, "c": 20}, side=64)
    network = TorchvisionNetwork(name="torchvision/shufflenet_v2_x0_5")
    state = build(network, 5, seed=0).state_dict()
    save_file({key: value.contiguous() for key, value in state.items()}, tmp_path / "w.safetensors")
    main(["init", "photos", "--held-out", "none", "--backbone", network.name, "--weights", "w.safetensors"])
    config = load_file(tmp_path / "photos.yaml")
    found = estimate(config, gpus=0)
    images, parts, seeds = 60 + 3 * 200, 7, 3
    epochs = config.recipes["classifier"].epochs
    once = (found.extract * images + found.start * parts) / found.cores
    rounds = -(-seeds // found.cores)
    rest = REST + (2 * found.prepare * images + parts * PART) / found.cores
    expected = once + rounds * (JOBS_OF_MODEL * found.start + epochs * found.step) + rest
    assert found.total == pytest.approx(expected)
