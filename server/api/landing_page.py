"""The landing page at `/`, and Swagger UI at `/docs`. Neither loads anything from other hosts."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader

router = APIRouter(include_in_schema=False)

_templates = Environment(
    loader=PackageLoader("server.api"), autoescape=True, keep_trailing_newline=True
)


@router.get("/", response_class=HTMLResponse)
def index(request: Request) -> HTMLResponse:
    """Return the landing page, with examples that have this server's address."""
    template = _templates.get_template("landing_page.html")
    return HTMLResponse(template.render(host=str(request.base_url).rstrip("/")))


@router.get("/docs", response_class=HTMLResponse)
def docs() -> HTMLResponse:
    """Return Swagger UI over our OpenAPI document, from the copy that BentoML serves."""
    return get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="Palimpsest API",
        swagger_js_url="/static_content/swagger-ui-bundle.js",
        swagger_css_url="/static_content/swagger-ui.css",
        swagger_favicon_url="data:,",
    )
