"""`like: other` in a recipe: the other's keys first, then the recipe's own, section by section."""

from typing import Any

from synthood.config.messages import MistakeError
from synthood.errors import nearest

Raw = dict[str, Any]


def resolved(recipes: Raw) -> Raw:
    """Every recipe without `like:`; raises MistakeError at an unknown name or a cycle."""
    return {name: _resolve(name, recipes, []) for name in recipes}


def _resolve(name: str, recipes: Raw, trail: list[str]) -> Any:
    own = recipes[name]
    if not isinstance(own, dict) or "like" not in own:
        return own
    other = own["like"]
    if not isinstance(other, str) or other not in recipes:
        raise MistakeError(f"recipes.{name}.like", f"no recipe is named {other!r}{nearest(str(other), recipes)}")
    if other in [*trail, name]:
        circle = " -> ".join([*trail, name, other])
        raise MistakeError(f"recipes.{name}.like", f"goes in a circle ({circle}); take one `like` away")
    parent = _resolve(other, recipes, [*trail, name])
    return merged(parent if isinstance(parent, dict) else {}, {key: own[key] for key in own if key != "like"})


def merged(below: Raw, above: Raw) -> Raw:
    """Keys of both; where both have a section, its keys of both; a null above takes the key away."""
    result = dict(below)
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        elif value is None:
            result.pop(key, None)
        else:
            result[key] = value
    return result
