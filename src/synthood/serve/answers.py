"""What the server answers, as models for its description."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from synthood.deploy.runtime import Runtime
from synthood.serve.engine import Bad, Judgement, Verdict

Share = Annotated[float, Field(ge=0, le=1)]


class Asked(BaseModel):
    """Parameters of a request's address; others are refused."""

    model_config = ConfigDict(extra="forbid")

    level: Share | None = Field(
        None, description="exported share of known images that may be rejected (default: 5 %, or the nearest to it)"
    )
    top: int = Field(5, ge=1, le=1000, description="most likely classes to list")


class Likely(BaseModel):
    """A class and its softmax probability."""

    label: str
    probability: Share


class Answer(BaseModel):
    """The verdict on an image: `is_ood` where `p_value` is at most `level`; confidence is larger for known images."""

    label: str
    probability: Share
    confidence: float
    p_value: Share
    level: Share
    is_ood: bool
    decision: Literal["known", "unknown"]
    top: list[Likely] = Field(description="the most likely classes, the first of them `label`")
    note: str = Field(description="what was converted, such as `640x480 px resized`; empty where nothing was")


class Unreadable(BaseModel):
    """An image without a verdict, and why."""

    error: str


class Answers(BaseModel):
    """Verdicts on the images of a form, in its order."""

    images: list[Answer | Unreadable]


class Problem(BaseModel):
    """Why there is no answer, in a sentence."""

    error: str


class Described(BaseModel):
    """The detector that is served; histograms are those of its model card, of ID test images and OOD sets."""

    classes: list[str]
    levels: list[float]
    level: float = Field(description="without the parameter `level`")
    width: int
    height: int
    detector: dict[str, Any] = Field(description="its kind and hyperparameters")
    guarantee: str
    warnings: list[str]
    id_images: int = Field(description="ID test images of the first histogram; 0: there are none")
    histograms: dict[str, Any] = Field(description="`edges` [B+1] of confidence and `counts`: pairs of a set and [B]")
    limits: dict[str, float]


EXAMPLE = {
    "label": "shirt",
    "probability": 0.93,
    "confidence": 7.41,
    "p_value": 0.62,
    "level": 0.05,
    "is_ood": False,
    "decision": "known",
    "top": [{"label": "shirt", "probability": 0.93}, {"label": "dress", "probability": 0.04}],
    "note": "640x480 px resized",
}
UNKNOWN = {
    "label": "dress",
    "probability": 0.41,
    "confidence": 1.2,
    "p_value": 0.007,
    "level": 0.05,
    "is_ood": True,
    "decision": "unknown",
    "top": [{"label": "dress", "probability": 0.41}, {"label": "shirt", "probability": 0.33}],
    "note": "",
}
SEVERAL = {"images": [EXAMPLE, UNKNOWN, {"error": "not an image file"}]}


def answer(found: Verdict, classes: Sequence[str], level: float, top: int) -> dict[str, Any]:
    """An `Answer`, or `Unreadable`."""
    if isinstance(found, Bad):
        return {"error": found.reason}
    order = np.argsort(-found.probabilities, kind="stable")[:top]
    likely = [{"label": classes[k], "probability": number(found.probabilities[k])} for k in order]
    is_ood = found.p_value <= level
    return {
        **likely[0],
        "confidence": number(found.confidence),
        "p_value": found.p_value,
        "level": level,
        "is_ood": is_ood,
        "decision": "unknown" if is_ood else "known",
        "top": likely,
        "note": found.note,
    }


def number(value: np.float32) -> float:
    """With no more digits than single precision tells apart."""
    return float(str(value))


def described(detector: Runtime, limits: dict[str, float]) -> dict[str, Any]:
    """A `Described`."""
    facts, size = detector.facts, detector.preprocessing
    return {
        "classes": detector.classes,
        "levels": list(detector.calibration.levels),
        "level": detector.calibration.level(),
        "width": size.width,
        "height": size.height,
        "detector": facts["detector"],
        "guarantee": facts["guarantee"],
        "warnings": facts["warnings"],
        "id_images": facts["measured"]["count"],
        "histograms": facts["histograms"],
        "limits": limits,
    }


__all__ = ["EXAMPLE", "SEVERAL", "UNKNOWN", "Answer", "Answers", "Asked", "Described", "Judgement", "Problem"]
