"""What templates need: the number formats of ``dashboards.formats`` as filters, status words, the frame."""

import json
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from control.accounts.permissions import allowed
from control.deployments.selectors import kills_visible_to
from control.marketdata.cheap_starts import first_closes_below_one
from control.marketdata.models import Dataset
from control.marketdata.selectors import warnings_of
from control.web import navigation
from control.web.views.theme import VERSION
from control.web.words import STATUS_TONES, scope_words, status_word
from dashboards import formats, theme

register = template.Library()

for _rule in (
    formats.money,
    formats.money_signed,
    formats.compact,
    formats.compact_signed,
    formats.number,
    formats.price,
    formats.quantity,
    formats.quantity_signed,
    formats.percent,
    formats.percent_signed,
    formats.bps,
    formats.time,
    formats.time_micros,
    formats.day,
    formats.moment,
    formats.duration,
    formats.age,
    formats.tone,
):
    # `time` would hide Django's own filter of that name.
    register.filter({"time": "time_ms"}.get(_rule.__name__, _rule.__name__), _rule)


@register.filter
def exact(value: Any) -> str:
    """The whole figure, for the hover of a compact one."""
    return formats.number(value, 2)


@register.filter
def short_hash(value: str) -> str:
    return value[:12] if value else formats.UNKNOWN


@register.filter
def status(value: Any) -> SafeString:
    """A state as a word with a dot."""
    text = str(value)
    return format_html('<span class="status status--{}">{}</span>', STATUS_TONES.get(text, "off"), status_word(text))


register.filter("scope_words", scope_words)


@register.inclusion_tag("web/parts/kill_banner.html", takes_context=True)
def kill_banner(context: template.Context) -> dict[str, Any]:
    """What is killed stands on every page."""
    return {"kills": list(kills_visible_to(context["request"].user).filter(rearmed_at__isnull=True))}


@register.filter
def took(run: Any) -> Any:
    """How long a run took, None while it goes on."""
    return run.finished_at - run.started_at if run.started_at and run.finished_at else None


@register.filter
def milliseconds(value: Any) -> Any:
    """Milliseconds as seconds, for ``duration``."""
    return None if value is None else value / 1000


@register.filter
def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


@register.simple_tag
def icon(name: str, size: str = "") -> SafeString:
    return format_html(
        '<svg class="icon{}" aria-hidden="true"><use href="#icon-{}"></use></svg>',
        f" icon--{size}" if size else "",
        name,
    )


@register.simple_tag(takes_context=True)
def may(context: template.Context, permission: str, desk: Any = None) -> bool:
    """Whether the signed-in user may; the same question the services ask."""
    return allowed(context["request"].user, permission, desk)


@register.inclusion_tag("web/parts/rail.html", takes_context=True)
def rail(context: template.Context) -> dict[str, Any]:
    request = context["request"]
    return {"items": navigation.items_for(request.user, request.path), "user": request.user}


@register.inclusion_tag("web/parts/empty.html")
def empty(icon_name: str, title: str, how: str = "") -> dict[str, str]:
    """What would be here, and how to make it so."""
    return {"icon_name": icon_name, "title": title, "how": how}


@register.simple_tag
def theme_version() -> str:
    return VERSION


@register.simple_tag
def plotly_templates() -> dict[str, Any]:
    """Both Plotly templates, for charts.js."""
    return {name: theme.plotly_template(name) for name in theme.THEMES}


@register.simple_tag
def status_words() -> dict[str, tuple[str, str]]:
    """State -> (word, tone), for the live tables."""
    return {state: (status_word(state), tone_of) for state, tone_of in STATUS_TONES.items()}


@register.inclusion_tag("web/parts/data_notice.html")
def data_notice(dataset: str) -> dict[str, Any]:
    """What has to stand beside every figure that was made from this dataset."""
    found = Dataset.objects.filter(name=dataset).first()
    if found is None:
        return {"dataset": dataset, "warnings": []}
    return {"dataset": dataset, "warnings": warnings_of(found), "cheap": first_closes_below_one(found)}
