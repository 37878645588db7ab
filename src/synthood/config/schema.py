"""The JSON schema of config.yaml, for editors; generated from the typed models."""

import json
from typing import Any

from synthood.config.benchmarks import benchmark_names
from synthood.config.models import Config


def json_schema() -> str:
    """The text of schemas/config.schema.json."""
    return json.dumps(config_schema(), indent=1, sort_keys=True) + "\n"


def config_schema() -> dict[str, Any]:
    """Draft 2020-12; in recipes `like:` is allowed, so nothing is required there and null takes a key away."""
    schema: dict[str, Any] = Config.model_json_schema(by_alias=True)
    recipes = ("RecipeSettings", "CheckpointRecipe")
    for name in (*recipes, "Network", "Augmentation", "Synthetic", "Teacher", "OutlierTerms"):
        part = schema["$defs"][name]
        part.pop("required", None)
        part["properties"] = {key: {"anyOf": [value, {"type": "null"}]} for key, value in part["properties"].items()}
    for name in recipes:
        like = {"type": "string", "default": None, "description": "a recipe whose keys come first"}
        schema["$defs"][name]["properties"]["like"] = like
    # With nothing required, a recipe such as {like: ce} is of both kinds, which oneOf would refuse.
    for kinds in schema["properties"]["recipes"]["patternProperties"].values():
        kinds["anyOf"] = kinds.pop("oneOf")
    dataset = schema["$defs"]["DatasetSettings"]
    dataset.pop("required", None)
    dataset["properties"] |= {
        "benchmark": {"enum": benchmark_names(), "default": None, "description": "a protocol whose keys come first"},
        "path": {"type": "string", "default": None, "description": "the folder with the benchmark's data"},
    }
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return schema
