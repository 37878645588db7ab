"""Measured numbers as JSON has them."""

import math
from typing import Any


def finite_json(value: Any) -> Any:
    """Null for what is no finite number, six digits, at every depth of dictionaries."""
    if isinstance(value, dict):
        return {key: finite_json(inner) for key, inner in value.items()}
    return (float(f"{value:.6g}") if math.isfinite(value) else None) if isinstance(value, float) else value
