"""UI.md, "Colour": the values, and that no colour is written anywhere but in ``dashboards/theme.py``."""

import re
from pathlib import Path

import pytest

from dashboards import theme

COLOUR = re.compile(r"#(?:[0-9a-fA-F]{8}|[0-9a-fA-F]{6}|[0-9a-fA-F]{3,4})\b|\b(?:rgba?|hsla?|oklch)\(")
# `#abc` is a colour, but so are some ids: a selector or a link is not.
NOT_A_COLOUR = re.compile(r"""(?:href=["']|url\(["']?)#[\w-]+|#icon-|^#\w+[\s.:\[{>]|\}#deploy""", re.MULTILINE)


def _sources(root: Path) -> list[Path]:
    folders = [root / "dashboards", root / "platform" / "control" / "web"]
    found = [path for folder in folders for path in folder.rglob("*") if path.suffix in {".py", ".css", ".js", ".html"}]
    return [path for path in found if path != root / "dashboards" / "theme.py"]


def test_palettes_are_those_of_the_design() -> None:
    assert theme.DARK == {
        "background": "#0E1116",
        "panel": "#151A21",
        "line": "#262D37",
        "text": "#D7DEE8",
        "muted": "#8A95A5",
    }
    assert list(theme.LIGHT.values()) == ["#F7F8FA", "#FFFFFF", "#E3E6EB", "#1B2230", "#5E6878"]
    named = [theme.SIGNALS[name] for name in ("accent", "gain", "loss", "warning", "breach")]
    assert named == ["#2BB3A3", "#2F9E8F", "#E2703A", "#D9A21B", "#D64545"]


def test_no_colour_is_written_outside_the_theme(root: Path) -> None:
    strays = [
        f"{path.relative_to(root)}: {match.group()}"
        for path in _sources(root)
        for match in COLOUR.finditer(NOT_A_COLOUR.sub("", path.read_text()))
    ]
    assert strays == []


def test_every_variable_that_a_style_uses_is_defined(root: Path) -> None:
    styles = "".join(path.read_text() for path in _sources(root) if path.suffix in {".css", ".html", ".js"})
    defined = set(re.findall(r"(--h-[\w-]+):", theme.css_variables() + styles))
    assert set(re.findall(r"var\((--h-[\w-]+)", styles)) - defined == set()


def test_sim_has_a_ribbon_of_its_own() -> None:
    grounds = [ground for ground, _text in theme.RIBBONS.values()]
    assert len(set(grounds)) == len(theme.RIBBONS) == 4


@pytest.mark.parametrize("name", ["dark", "light"])
@pytest.mark.parametrize("ground", ["background", "panel"])
@pytest.mark.parametrize("text", ["text", "muted"])
def test_text_keeps_the_contrast_that_wcag_asks_for(name: str, ground: str, text: str) -> None:
    palette = theme.THEMES[name]
    assert _contrast(palette[text], palette[ground]) >= 4.5  # WCAG 2.2, 1.4.3, level AA


def test_ribbons_are_readable() -> None:
    for stage, (ground, text) in theme.RIBBONS.items():
        # bold or large text may have 3:1 (WCAG 2.2, 1.4.3); LIVE's red is given by the design
        assert _contrast(ground, text) >= (3 if stage == "live" else 4.5), stage


def _contrast(one: str, other: str) -> float:
    """WCAG 2.2, "contrast ratio"."""
    brighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    """WCAG 2.2, "relative luminance"."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
