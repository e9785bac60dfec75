"""The theme as the browser loads it: the colours' CSS variables and the mark, from ``dashboards.theme``."""

from hashlib import sha256

from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import cache_control

from dashboards import theme

CSS = theme.css_variables()
VERSION = sha256(CSS.encode()).hexdigest()[:12]
MARK = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke-width="2" stroke-linecap="round" '
    f'stroke="{theme.SIGNALS["accent"]}"><circle cx="12" cy="13" r="5"/>'
    '<path d="M12 2v3M4.2 5.8l2.1 2.1M19.8 5.8l-2.1 2.1M2 13h2M20 13h2M8 21h8"/></svg>'
)


@cache_control(public=True, max_age=31_536_000, immutable=True)
def theme_css(request: HttpRequest) -> HttpResponse:
    """Needs no login: the sign-in page wears it too. Addressed with its own hash."""
    return HttpResponse(CSS, content_type="text/css; charset=utf-8")


@cache_control(public=True, max_age=86_400)
def mark(request: HttpRequest) -> HttpResponse:
    return HttpResponse(MARK, content_type="image/svg+xml")
