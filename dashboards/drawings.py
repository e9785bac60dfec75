"""Line charts as vector drawings: one drawing becomes SVG in an HTML file and a part of a PDF."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from reportlab.graphics import renderSVG
from reportlab.graphics.shapes import Drawing, Line, Polygon, PolyLine, String
from reportlab.lib.colors import HexColor

from dashboards import formats, theme

FONT, SIZE = "Helvetica", 7
LEFT, RIGHT, BOTTOM, TOP = 46, 8, 16, 6
MOST_POINTS = 1_200
STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class Series:
    """``values`` float64, NaN where there is none; ``filled`` down from 0."""

    name: str
    values: np.ndarray
    colour: str
    filled: bool = False


def line_chart(
    dates: Sequence[str],
    series: Sequence[Series],
    *,
    width: float,
    height: float,
    percent: bool = False,
    palette: dict[str, str] = theme.LIGHT,
) -> Drawing:
    """``dates`` are ISO days, one a value. The y axis covers what is known; years (at most twelve) are named."""
    drawing = Drawing(width, height)
    known = np.concatenate([one.values[np.isfinite(one.values)] for one in series])
    ticks = _ticks(float(known.min()), float(known.max())) if len(known) else [0.0, 1.0]
    low, high = ticks[0], ticks[-1]
    across, up = (width - LEFT - RIGHT) / max(len(dates) - 1, 1), (height - BOTTOM - TOP) / (high - low)
    for tick in ticks:
        at = BOTTOM + (tick - low) * up
        drawing.add(Line(LEFT, at, width - RIGHT, at, strokeColor=HexColor(palette["line"]), strokeWidth=0.5))
        text = formats.percent(tick) if percent else formats.compact(tick)
        drawing.add(_text(LEFT - 4, at - 2.5, text, "end", palette))
    for position in _year_starts(dates):
        drawing.add(_text(LEFT + position * across, 4, dates[position][:4], "middle", palette))
    for one in series:
        for stretch in _stretches(one.values):
            shown = stretch[:: max(1, len(stretch) // MOST_POINTS)]
            points = [
                coordinate
                for index in shown.tolist()
                for coordinate in (LEFT + index * across, BOTTOM + (one.values[index] - low) * up)
            ]
            colour = HexColor(one.colour)
            if one.filled:
                ground = BOTTOM + (min(max(0.0, low), high) - low) * up
                ends = [LEFT + shown[-1] * across, ground, LEFT + shown[0] * across, ground]
                drawing.add(Polygon([*points, *ends], fillColor=colour, fillOpacity=0.25, strokeColor=None))
            drawing.add(PolyLine(points, strokeColor=colour, strokeWidth=0.9))
    return drawing


def as_svg(drawing: Drawing) -> str:
    """The <svg> element alone, scaling to its place; its clip has a name of its own, for pages with several."""
    text = renderSVG.drawToString(drawing)
    name = "clip-" + sha256(text.encode()).hexdigest()[:12]
    return text[text.index("<svg") :].replace('id="clip"', f'id="{name}"').replace("url(#clip)", f"url(#{name})")


def _text(x: float, y: float, text: str, anchor: str, palette: dict[str, str]) -> String:
    plain = text.replace(formats.MINUS, "-")  # the built-in font of a PDF has no U+2212
    colour = HexColor(palette["muted"])
    return String(x, y, plain, fontName=FONT, fontSize=SIZE, fillColor=colour, textAnchor=anchor)


def _ticks(low: float, high: float) -> list[float]:
    """About five round values that cover [low, high]."""
    span = high - low or abs(high) or 1.0
    size = 10 ** np.floor(np.log10(span / 4))
    step = next(float(size * step) for step in STEPS if size * step >= span / 4)
    first, last = np.floor(low / step), np.ceil(high / step)
    return [float(n * step) for n in np.arange(first, max(last, first + 1) + 1)]


def _year_starts(dates: Sequence[str]) -> list[int]:
    starts = [i for i in range(1, len(dates)) if dates[i][:4] != dates[i - 1][:4]]
    return starts[:: max(1, -(-len(starts) // 12))]


def _stretches(values: np.ndarray) -> list[np.ndarray]:
    """Indexes of what is known, cut where something is not."""
    known = np.flatnonzero(np.isfinite(values))
    return [part for part in np.split(known, np.flatnonzero(np.diff(known) > 1) + 1) if len(part) > 1]
