"""The one source of colours: CSS variables, the Plotly template and the admin's palette come from here.

No colour is written anywhere else; ``tests/unit/dashboards/test_theme.py`` looks for strays.
"""

from typing import Any

DARK = {
    "background": "#0E1116",
    "panel": "#151A21",
    "line": "#262D37",
    "text": "#D7DEE8",
    "muted": "#8A95A5",
}
LIGHT = {
    "background": "#F7F8FA",
    "panel": "#FFFFFF",
    "line": "#E3E6EB",
    "text": "#1B2230",
    "muted": "#5E6878",
}
THEMES = {"dark": DARK, "light": LIGHT}

# The same in both themes. Gain and loss differ without red and green, and always carry a sign too.
SIGNALS = {
    "accent": "#2BB3A3",
    "gain": "#2F9E8F",
    "loss": "#E2703A",
    "warning": "#D9A21B",
    "breach": "#D64545",
    "on-accent": "#0E1116",
    "on-breach": "#FFFFFF",
}

# Environment ribbons by stage: (background, text)
RIBBONS = {
    "sim": ("#2F5D8C", "#EAF2FB"),
    "paper": ("#4A5563", "#F1F4F8"),
    "canary": ("#D9A21B", "#0E1116"),
    "live": ("#D64545", "#FFFFFF"),
}

# Okabe and Ito, "Color universal design" (2008), without black and yellow, which fail on one of the themes.
CATEGORIES = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#0072B2", "#D55E00")

FONT_TEXT = "Inter, system-ui, sans-serif"
FONT_FIGURES = "'JetBrains Mono', ui-monospace, monospace"


def css_variables() -> str:
    """The style sheet that every page loads first: ``--h-<name>`` for each colour, by theme."""
    shared = {**SIGNALS, **{f"category-{n}": colour for n, colour in enumerate(CATEGORIES, 1)}}
    for stage, (background, text) in RIBBONS.items():
        shared[f"ribbon-{stage}"] = background
        shared[f"on-ribbon-{stage}"] = text
    fonts = f"  --h-font-text: {FONT_TEXT};\n  --h-font-figures: {FONT_FIGURES};\n"
    blocks = [":root {\n" + _declarations(shared) + fonts + "}\n"]
    for name, palette in THEMES.items():
        blocks.append(f':root[data-theme="{name}"] {{\n  color-scheme: {name};\n{_declarations(palette)}}}\n')
    return "\n".join(blocks)


def _declarations(colours: dict[str, str]) -> str:
    return "".join(f"  --h-{name}: {colour};\n" for name, colour in colours.items())


def plotly_template(theme: str = "dark") -> dict[str, Any]:
    """The Plotly template of a theme: transparent paper, few grid lines, shared crosshair, units in titles."""
    palette = THEMES[theme]
    axis = {
        "gridcolor": palette["line"],
        "linecolor": palette["line"],
        "zerolinecolor": palette["muted"],
        "zerolinewidth": 1,
        "tickcolor": palette["line"],
        "tickfont": {"color": palette["muted"], "size": 12},
        "title": {"font": {"color": palette["muted"], "size": 12}, "standoff": 8},
        "spikecolor": palette["muted"],
        "spikethickness": 1,
        "spikedash": "dot",
        "spikemode": "across",
        "automargin": True,
    }
    return {
        "layout": {
            "font": {"family": FONT_TEXT, "size": 12, "color": palette["text"]},
            "colorway": list(CATEGORIES),
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "margin": {"l": 8, "r": 64, "t": 8, "b": 8},
            "hovermode": "x unified",
            "hoverlabel": {
                "bgcolor": palette["panel"],
                "bordercolor": palette["line"],
                "font": {"family": FONT_FIGURES, "size": 12, "color": palette["text"]},
            },
            "showlegend": False,
            "dragmode": "zoom",
            "separators": ".,",
            "xaxis": {**axis, "showgrid": False, "showspikes": True},
            "yaxis": {**axis, "nticks": 6, "showspikes": False},
            "annotationdefaults": {"font": {"size": 12}, "showarrow": False},
        },
        "data": {"scatter": [{"type": "scatter", "line": {"width": 1.5}}]},
    }


def translucent(colour: str, alpha: float) -> str:
    """``colour`` (#RRGGBB) with an opacity, for areas under a line."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"


def admin_colours() -> dict[str, dict[str, str]]:
    """The palette of django-unfold: greys between the two themes, the accent as primary."""
    greys = {
        "50": LIGHT["background"], "100": "#EEF0F4", "200": LIGHT["line"], "300": "#C9D0DA", "400": DARK["muted"],
        "500": LIGHT["muted"], "600": "#465061", "700": "#333C49", "800": DARK["line"], "900": DARK["panel"],
        "950": DARK["background"],
    }  # fmt: skip
    accents = {
        "50": "#EAF8F6", "100": "#CDEFEA", "200": "#A0E1D8", "300": "#6CCFC2", "400": "#45C0B1",
        "500": SIGNALS["accent"], "600": SIGNALS["gain"], "700": "#247E72", "800": "#1E645B", "900": "#1A514A",
        "950": "#0B2F2B",
    }  # fmt: skip
    return {"base": greys, "primary": accents}
