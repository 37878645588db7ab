"""`synthood show recipe NAME`: the same entry when it is read again."""

import pytest
import yaml

from synthood.config.load import load
from synthood.config.show import KINDS, resolved_entry


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_shown_is_the_entry_itself(config_file, demo, kind):
    config, section = load(demo), KINDS[kind]
    for name, entry in getattr(config, section).items():
        shown = yaml.safe_load(resolved_entry(kind, name, config_file))
        assert list(shown) == [section]
        assert list(shown[section]) == [name]
        again = load({**demo, section: {**demo[section], **shown[section]}})
        assert getattr(again, section)[name] == entry


def test_like_is_followed_and_defaults_are_included(config_file, tmp_path, demo):
    demo["recipes"]["more"] = {"like": "sio-sd", "synthetic": {"alpha": 0.5}}
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(demo))
    shown = yaml.safe_load(resolved_entry("recipe", "more", file))["recipes"]["more"]
    assert shown["synthetic"] == {"from": "sd", "alpha": 0.5, "form": "composition", "share": None}
    assert (shown["epochs"], shown["optimizer"], "like" in shown) == (demo["recipes"]["ce"]["epochs"], "sgd", False)


def test_a_benchmark_is_followed(config_file):
    file = config_file.parent / "configs" / "openood-cifar10.yaml"
    shown = yaml.safe_load(resolved_entry("dataset", "cifar10", file))["datasets"]["cifar10"]
    assert (shown["near"]["cifar100"]["path"], "benchmark" in shown) == ("data/images_classic", False)


def test_kinds_are_shown_where_there_are_several(config_file):
    methods = config_file.parent / "configs" / "digits-methods.yaml"
    oal = yaml.safe_load(resolved_entry("recipe", "oal", config_file))["recipes"]["oal"]
    cutmix = yaml.safe_load(resolved_entry("recipe", "cutmix", methods))["recipes"]["cutmix"]
    assert ["kind" in oal[key] for key in ("teacher", "outliers")] == [False, False]
    assert cutmix["mixing"]["kind"] == "cutmix"
