"""Pages: the landing page `/`, Swagger UI at `/docs`, and the document `/openapi.json`.

None loads anything from other hosts.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader

from server.auth.sub_path import base_url_of, prefix_of

router = APIRouter(include_in_schema=False)

_templates = Environment(
    loader=PackageLoader("server.api"), autoescape=True, keep_trailing_newline=True
)


@router.get("/", response_class=HTMLResponse)
def index(request: Request) -> HTMLResponse:
    """Return the landing page, with examples that have this server's address."""
    template = _templates.get_template("landing_page.html")
    return HTMLResponse(template.render(host=base_url_of(request), prefix=prefix_of(request)))


@router.get("/openapi.json")
def openapi(request: Request) -> dict[str, Any]:
    """Return the OpenAPI document of the API, with the address that this client uses."""
    return {**request.app.openapi(), "servers": [{"url": prefix_of(request) or "/"}]}


@router.get("/docs", response_class=HTMLResponse)
def docs(request: Request) -> HTMLResponse:
    """Return Swagger UI over our OpenAPI document, from the copy that BentoML serves."""
    prefix = prefix_of(request)
    return get_swagger_ui_html(
        openapi_url=f"{prefix}/openapi.json",
        title="Palimpsest API",
        swagger_js_url=f"{prefix}/static_content/swagger-ui-bundle.js",
        swagger_css_url=f"{prefix}/static_content/swagger-ui.css",
        swagger_favicon_url="data:,",
    )
