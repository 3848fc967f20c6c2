"""The page at ``/`` and the API's documentation; nothing on them is loaded from elsewhere."""

from __future__ import annotations

from html import escape

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

router = APIRouter(include_in_schema=False)

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>Palimpsest</title>
<style>
  body { font: 17px/1.55 Georgia, serif; max-width: 42rem; margin: 12vh auto; padding: 0 1.2rem;
         color: #2b2620; background: #f6f0e3; }
  h1 { font-weight: 400; letter-spacing: .04em; margin-bottom: 0; }
  .again { color: #b9ad95; font-style: italic; margin-top: .2rem; }
  pre { background: #ece3cf; padding: 1rem; overflow-x: auto; font-size: 14px; line-height: 1.45; }
  a { color: #7a3b12; }
</style>
</head>
<body>
<h1>Palimpsest</h1>
<p class="again">written, scraped off, written again</p>
<p>A text-to-video server whose models can forget. A request names an <em>encoder</em>;
the encoder turns its prompt into embeddings, and one that was made to forget a concept cannot ask
for it. Base and unlearned encoders are served side by side, and new ones are made on request.</p>
<pre>curl HOST/v1/videos -H 'content-type: application/json' \\
     -d '{"prompt": "pogo bouncing in a meadow"}'

curl HOST/v1/encoders -H 'content-type: application/json' \\
     -d '{"id": "no-pogo", "concept": "pogo", "kind": "character"}'

curl HOST/v1/videos -H 'content-type: application/json' \\
     -d '{"prompt": "pogo bouncing in a meadow", "model": "starter:no-pogo"}'</pre>
<p><a href="/docs">API documentation</a> · <a href="/openapi.json">OpenAPI</a> ·
<a href="/readyz">ready?</a></p>
</body>
</html>
"""


@router.get("/", response_class=HTMLResponse)
def index(request: Request) -> HTMLResponse:
    """What this is, and where its documentation lies."""
    return HTMLResponse(_PAGE.replace("HOST", escape(str(request.base_url).rstrip("/"))))


@router.get("/docs", response_class=HTMLResponse)
def docs() -> HTMLResponse:
    """Swagger UI over our OpenAPI document, from the copy that BentoML serves."""
    return get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="Palimpsest API",
        swagger_js_url="/static_content/swagger-ui-bundle.js",
        swagger_css_url="/static_content/swagger-ui.css",
        swagger_favicon_url="data:,",
    )
