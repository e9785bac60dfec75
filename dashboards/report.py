"""A tear sheet as one file that needs nothing else: HTML with its drawings in it, or PDF. For paper: light colours.

Both are made by ReportLab (BSD) from the same sheet and the same drawings; no browser is needed at run time.
"""

from dataclasses import dataclass
from html import escape
from io import BytesIO
from typing import Any

import numpy as np
from reportlab.graphics.shapes import Drawing
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import KeepTogether, Paragraph, SimpleDocTemplate, Spacer, TableStyle
from reportlab.platypus import Table as Grid

from dashboards import formats, theme
from dashboards.drawings import FONT, Series, as_svg, line_chart
from dashboards.results import Result
from dashboards.tear_sheet import ROLLING_DAYS, Figure, Sheet, Table
from engine.statistics.curve import rolling, yearly_return

WIDTH = A4[0] - 30 * mm
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True)
class Heading:
    """``lines`` say what was run, on what, and what the result is called."""

    title: str
    lines: list[str]


def heading_of(result: Result, title: str, result_sha256: str, warnings: list[str]) -> Heading:
    """``warnings`` are what has to stand beside every result of this dataset."""
    described = result.described
    manifest = described["manifest"]
    return Heading(
        title,
        [
            f"{result.dates[0]} to {result.dates[-1]}, {formats.quantity(len(result.dates))} trading days; "
            f"capital {formats.money(result.capital)} USD; fills at the {described['fill']}",
            f"Dataset {manifest['data']['dataset']}, content {manifest['content_hash'][:16]}, "
            f"engine {described['engine_build'][:16]}, result {result_sha256[:16]}",
            *warnings,
        ],
    )


def charts(result: Result, width: float) -> list[tuple[str, Drawing]]:
    """Titles with their drawings."""
    rolled = rolling(result.returns, ROLLING_DAYS)
    accent, muted, loss = theme.SIGNALS["accent"], theme.LIGHT["muted"], theme.SIGNALS["loss"]
    equity = [Series("Equal weights, held", result.benchmark, muted), Series("Equity", result.equity, accent)]
    drawdown = [Series("Drawdown", result.drawdown, loss, filled=True)]
    sharpe = [Series("Sharpe", rolled["sharpe"], accent)]
    drawn = [
        ("Equity, and equal weights bought and held (grey), USD", equity, 150.0, False),
        ("Drawdown", drawdown, 90.0, True),
        (f"Sharpe of the last {ROLLING_DAYS} trading days, a year", sharpe, 90.0, False),
        (
            f"Volatility of the last {ROLLING_DAYS} trading days, a year",
            [Series("Volatility", rolled["volatility"], theme.CATEGORIES[4])],
            90.0,
            True,
        ),
    ]
    return [
        (title, line_chart(result.dates, series, width=width, height=height, percent=percent))
        for title, series, height, percent in drawn
        if any(np.isfinite(one.values).any() for one in series)
    ]


def monthly_table(result: Result) -> Table:
    years = sorted({year for year, _month in result.monthly}, reverse=True)
    rows = [
        [
            str(year),
            *(_percent_points(result.monthly.get((year, month))) for month in range(1, 13)),
            _percent_points(yearly_return(result.monthly, year)),
        ]
        for year in years
    ]
    columns = (("Year", "text"), *((month, "figure") for month in MONTHS), ("Year", "figure"))
    return Table("Monthly returns, %", columns, rows)


def _percent_points(value: float | None) -> str:
    return "" if value is None else formats.number(value * 100, 2, sign=True)


# ---- HTML

STYLE = """
body { font: 13px/1.45 Inter, system-ui, sans-serif; margin: 24px auto; max-width: 960px; color: var(--text);
  background: var(--panel); }
h1 { font-size: 20px; } h2 { font-size: 13px; margin: 20px 0 6px; }
p { color: var(--muted); margin: 2px 0; }
table { border-collapse: collapse; width: 100%; font-size: 12px; }
th, td { border-bottom: 1px solid var(--line); padding: 3px 6px; text-align: left; }
.figure { text-align: right; font-variant-numeric: tabular-nums; }
.gain { color: var(--gain); } .loss { color: var(--loss); }
.groups { display: grid; grid-template-columns: 1fr 1fr; gap: 0 32px; }
svg { width: 100%; height: auto; }
"""


def as_html(result: Result, sheet: Sheet, heading: Heading) -> str:
    """One file: no script, no link, nothing fetched."""
    colours = {**theme.LIGHT, **theme.SIGNALS}
    variables = "".join(f"--{name}: {colour}; " for name, colour in colours.items())
    parts = [f"<h1>{escape(heading.title)}</h1>", *(f"<p>{escape(line)}</p>" for line in heading.lines)]
    parts += [f"<h2>{escape(title)}</h2>{as_svg(drawing)}" for title, drawing in charts(result, 900.0)]
    groups = "".join(f"<div><h2>{escape(title)}</h2>{_figures_html(figures)}</div>" for title, figures in sheet.groups)
    parts.append(f'<div class="groups">{groups}</div>')
    parts += [_table_html(table) for table in (monthly_table(result), *sheet.tables) if table.rows]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(heading.title)}</title>'
        f"<style>:root {{ {variables}}}{STYLE}</style></head><body>{''.join(parts)}</body></html>"
    )


def _figures_html(figures: list[Figure]) -> str:
    rows = "".join(
        f'<tr title="{escape(one.hint)}"><td>{escape(one.label)}</td>'
        f'<td class="figure {one.tone}">{escape(one.value)}</td></tr>'
        for one in figures
    )
    return f"<table>{rows}</table>"


def _table_html(table: Table) -> str:
    kinds = [kind for _title, kind in table.columns]
    head = "".join(f'<th class="{kind}">{escape(title)}</th>' for title, kind in table.columns)
    rows = "".join(
        "<tr>"
        + "".join(f'<td class="{kind}">{escape(cell)}</td>' for cell, kind in zip(row, kinds, strict=True))
        + "</tr>"
        for row in table.rows
    )
    note = f" <small>{escape(table.note)}</small>" if table.note else ""
    return f"<h2>{escape(table.title)}{note}</h2><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


# ---- PDF

_INK, _MUTED, _LINE = (HexColor(theme.LIGHT[name]) for name in ("text", "muted", "line"))
_TITLE = ParagraphStyle("title", fontName="Helvetica-Bold", fontSize=14, leading=18, textColor=_INK)
_HEAD = ParagraphStyle("head", fontName="Helvetica-Bold", fontSize=9, leading=12, spaceBefore=8, textColor=_INK)
_SMALL = ParagraphStyle("small", fontName=FONT, fontSize=7.5, leading=10, textColor=_MUTED)


def as_pdf(result: Result, sheet: Sheet, heading: Heading) -> bytes:
    """A4 pages, as vectors. Equal results give equal bytes (no date, no random identity)."""
    story: list[Any] = [Paragraph(escape(heading.title), _TITLE)]
    story += [Paragraph(escape(_ascii(line)), _SMALL) for line in heading.lines]
    story += [KeepTogether([Paragraph(escape(title), _HEAD), drawing]) for title, drawing in charts(result, WIDTH)]
    story += [Spacer(1, 6), _groups_grid(sheet)]
    for table in (monthly_table(result), *sheet.tables):
        if table.rows:
            note = f' <font size="7">{escape(table.note)}</font>' if table.note else ""
            story += [Paragraph(escape(table.title) + note, _HEAD), _grid(table)]
    target = BytesIO()
    margin = 15 * mm
    SimpleDocTemplate(
        target, pagesize=A4, leftMargin=margin, rightMargin=margin, topMargin=margin, bottomMargin=margin,
        title=heading.title, author="Heliograph", invariant=1,
    ).build(story)  # fmt: skip
    return target.getvalue()


def _groups_grid(sheet: Sheet) -> Grid:
    """The groups of figures side by side, two in a row."""
    cells = [
        [
            Paragraph(escape(title), _HEAD),
            _plain_grid([[one.label, _ascii(one.value)] for one in figures], WIDTH / 2 - 12),
        ]
        for title, figures in sheet.groups
    ]
    rows = [cells[at : at + 2] + [""] * (2 - len(cells[at : at + 2])) for at in range(0, len(cells), 2)]
    return Grid(rows, colWidths=[WIDTH / 2] * 2, style=TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP")]))


def _grid(table: Table) -> Grid:
    rows = [[title for title, _kind in table.columns], *([_ascii(cell) for cell in row] for row in table.rows)]
    return _plain_grid(rows, WIDTH, header=True, text=[kind == "text" for _title, kind in table.columns])


def _plain_grid(rows: list[list[str]], width: float, *, header: bool = False, text: list[bool] | None = None) -> Grid:
    left = text or [True] + [False] * (len(rows[0]) - 1)
    style = [
        ("FONT", (0, 0), (-1, -1), FONT, 7),
        ("TEXTCOLOR", (0, 0), (-1, -1), _INK),
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, _LINE),
        ("TOPPADDING", (0, 0), (-1, -1), 1.5),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
        ("LEFTPADDING", (0, 0), (-1, -1), 2),
        ("RIGHTPADDING", (0, 0), (-1, -1), 2),
        *(("ALIGN", (column, 0), (column, -1), "LEFT" if of else "RIGHT") for column, of in enumerate(left)),
    ]
    if header:
        style.append(("TEXTCOLOR", (0, 0), (-1, 0), _MUTED))
    return Grid(rows, colWidths=[width / len(rows[0])] * len(rows[0]), repeatRows=int(header), style=TableStyle(style))


def _ascii(text: str) -> str:
    """With the minus that the built-in fonts of a PDF have."""
    return text.replace(formats.MINUS, "-")
