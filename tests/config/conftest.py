"""The real configuration, free to be edited."""

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

CONFIG = Path(__file__).parents[2] / "config.yaml"
Raw = dict[str, Any]


@pytest.fixture(scope="session")
def config_file() -> Path:
    """The configuration that the repository ships."""
    return CONFIG


@pytest.fixture
def demo() -> Raw:
    """Its content, with YAML's aliases copied out so that an edit changes one place."""
    return json.loads(json.dumps(yaml.safe_load(CONFIG.read_text())))


@pytest.fixture
def edited(demo: Raw) -> Callable[[Mapping[str, Any]], Raw]:
    """Sets values at paths such as `recipes/ce/epochs`; None takes the key away."""

    def edit(edits: Mapping[str, Any]) -> Raw:
        raw = copy.deepcopy(demo)
        for path, value in edits.items():
            *above, last = path.split("/")
            place: Any = raw
            for key in above:
                place = place[int(key)] if isinstance(place, list) else place[key]
            if isinstance(place, list):
                place[int(last)] = value
            elif value is None:
                del place[last]
            else:
                place[last] = value
        return raw

    return edit
