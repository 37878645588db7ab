"""Charts of periods as inline SVG, 440 units wide so that their text can be read on a phone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, FOOT = 440, 210, 46, 10, 10, 28


@dataclass(frozen=True)
class Mark:
    """A period: its place on the axis, a value with an interval, what a pointer shows, whether it raises an alarm."""

    place: float
    value: float
    low: float
    high: float
    title: str
    alarm: bool


@dataclass(frozen=True)
class Scale:
    """From values to units of the picture."""

    first: float
    last: float
    low: float
    high: float

    def x(self, place: float) -> float:
        inner = WIDTH - LEFT - RIGHT - 16
        return LEFT + 8 + inner * ((place - self.first) / (self.last - self.first) if self.last > self.first else 0.5)

    def y(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return HEIGHT - FOOT - (HEIGHT - FOOT - TOP) * share


def steps(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers inside an interval: 1, 2 or 5 times a power of ten apart."""
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [step * k for k in range(first, math.floor(high / step + 1e-9) + 1)]


def chart(
    label: str,
    marks: Sequence[Mark],
    names: Sequence[tuple[float, str]],
    band: tuple[float, float] | None,
    line: float,
    low: float,
    high: float,
    ticks: Sequence[tuple[float, str]],
) -> str:
    """Values with intervals over `names` (place and text on the axis); a shaded band and a dashed line behind them."""
    places = [place for place, _ in names]
    scale = Scale(min(places), max(places), low, high)
    floor, end = HEIGHT - FOOT, WIDTH - RIGHT
    parts = []
    if band is not None:
        top, bottom = scale.y(band[1]), scale.y(band[0])
        parts.append(f'<path class="band" d="M{LEFT} {top:.1f}H{end}V{bottom:.1f}H{LEFT}z"/>')
    for value, text in ticks:
        y = scale.y(value)
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{end}"/>')
        parts.append(f'<text x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{escape(text)}</text>')
    parts.append(f'<path class="cut" d="M{LEFT} {scale.y(line):.1f}H{end}"/>')
    parts.append(f'<path class="axis" d="M{LEFT} {floor}H{end}"/>')
    for place, text, anchor in axis_names(names):
        parts.append(f'<text x="{scale.x(place):.1f}" y="{floor + 16}" text-anchor="{anchor}">{escape(text)}</text>')
    radius = 3.5 if len(marks) <= 60 else 2
    for mark in marks:
        x = scale.x(mark.place)
        bar = f'<path d="M{x:.1f} {scale.y(mark.low):.1f}V{scale.y(mark.high):.1f}"/>' if mark.high > mark.low else ""
        dot = f'<circle cx="{x:.1f}" cy="{scale.y(mark.value):.1f}" r="{radius * (1.4 if mark.alarm else 1):g}"/>'
        kind = "alarm" if mark.alarm else "calm"
        parts.append(f'<g class="{kind}"><title>{escape(mark.title)}</title>{bar}{dot}</g>')
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'


def axis_names(names: Sequence[tuple[float, str]]) -> list[tuple[float, str, str]]:
    """The first, middle and last name, each with its side, shortened."""
    last = len(names) - 1
    chosen = {0: "start", last // 2: "middle", last: "end"} if last > 1 else {0: "start", last: "end"}
    if not last:
        chosen = {0: "middle"}
    return [(names[at][0], short(names[at][1]), anchor) for at, anchor in chosen.items()]


def short(text: str, most: int = 18) -> str:
    return text if len(text) <= most else f"…{text[1 - most :]}"
