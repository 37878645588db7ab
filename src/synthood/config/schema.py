"""The JSON schema of config.yaml, for editors; generated from the typed models."""

import json
from typing import Any

from synthood.config.models import Config


def json_schema() -> str:
    """Draft 2020-12, with `like:` allowed in recipes and so nothing required there."""
    schema: dict[str, Any] = Config.model_json_schema(by_alias=True)
    recipe = schema["$defs"]["RecipeSettings"]
    recipe["properties"]["like"] = {"type": "string", "description": "a recipe whose keys come first"}
    recipe.pop("required")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(schema, indent=1, sort_keys=True) + "\n"
