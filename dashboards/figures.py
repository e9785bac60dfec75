"""Figures as plain dictionaries in the theme's colours: what the charts of both pages share."""

from typing import Any

from dashboards import theme


def line(name: str, x: list[Any], y: list[Any], colour: str, **options: Any) -> dict[str, Any]:
    """An SVG line (without a GPU, scattergl is several times slower)."""
    stroke = {"color": colour, "width": options.pop("width", 1.5)}
    if "dash" in options:
        stroke["dash"] = options.pop("dash")
    return {"type": "scatter", "mode": "lines", "name": name, "x": x, "y": y, "line": stroke, **options}


def figure(traces: list[dict[str, Any]], **layout: Any) -> dict[str, Any]:
    return {
        "data": traces,
        "layout": {"template": theme.plotly_template("dark"), "uirevision": "kept", "showlegend": False, **layout},
    }


def axis(title: str, **options: Any) -> dict[str, Any]:
    return {"title": {"text": title}, **options}


def level(name: str, y: float | None, *, axis_name: str = "y", colour: str = "", dash: str = "dot") -> dict[str, Any]:
    """A horizontal line over the whole width with its name above its right end."""
    return {
        "type": "line",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "yref": axis_name,
        "y0": y,
        "y1": y,
        "layer": "above",
        "line": {"color": colour or theme.DARK["muted"], "width": 1, "dash": dash},
        "label": {
            "text": name,
            "textposition": "end",
            "yanchor": "bottom",
            "padding": 2,
            "font": {"size": 12, "color": colour or theme.DARK["muted"]},
        },
    }
