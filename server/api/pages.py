"""Pages: the studio at `/`, Swagger UI at `/docs`, and the document `/openapi.json`.

None loads anything from other hosts.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, Response

from server.auth.sub_path import prefix_of
from server.errors import NotFound
from server.studio import page

router = APIRouter(include_in_schema=False)


@router.get("/", response_class=HTMLResponse)
async def index(request: Request) -> Response:
    """Return the studio's page."""
    return page.page(request)


@router.get(page.FILES_PATH + "{version}/{name:path}")
async def studio_file(request: Request, version: str, name: str) -> Response:
    """Return a file that the studio's page loads."""
    found = page.file(request, version, name)
    if found is None:
        raise NotFound(f"The studio has no file {name[:80]!r}.")
    return found


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
