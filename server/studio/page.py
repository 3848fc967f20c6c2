"""Answers of the studio: its page at `/`, and the files that the page loads.

They need neither the app nor a model, so `server.lazy_app` gives them while both are loading.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import PurePosixPath

from jinja2 import Environment, PackageLoader, Template
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Scope

from server.auth.sub_path import base_url_of, prefix_of
from server.studio.files import MEDIA_TYPES, studio_files

FILES_PATH = "/studio/"
"""Path of the files: `/studio/<version>/<file>`."""
_SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_YEAR_S = 31_536_000
CONTENT_POLICY = "; ".join(
    (
        "default-src 'self'",
        # A report that a key protects is fetched and opened as a blob. It has styles and pictures
        # in itself, and a blob is bound by the policy of the page that made it.
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob: data:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)


def answer_of(scope: Scope) -> Response | None:
    """Return the answer to a request for the page or a file; None for any other request."""
    if scope["method"] not in ("GET", "HEAD"):
        return None
    path: str = scope["path"]
    if path == "/":
        return page(HTTPConnection(scope))
    if path.startswith(FILES_PATH):
        version, _, name = path.removeprefix(FILES_PATH).partition("/")
        return file(HTTPConnection(scope), version, name)
    return None


def page(connection: HTTPConnection) -> Response:
    """Return the page. It is the same for every caller, but for the address of the server."""
    files, prefix = studio_files(), prefix_of(connection)
    html = _template().render(
        host=base_url_of(connection),
        prefix=prefix,
        files=f"{prefix}{FILES_PATH}{files.version}",
        styles=files.named(".css"),
        modules=files.named(".js"),
    )
    headers = {**_SAFE, "Content-Security-Policy": CONTENT_POLICY, "Cache-Control": "no-cache"}
    return Response(html, headers=headers, media_type="text/html")


def file(connection: HTTPConnection, version: str, name: str) -> Response | None:
    """Return a file of the page; None if there is none of this name.

    During an upgrade behind a load balancer a page may ask a server of another version. It gets
    what there is, which nobody keeps.
    """
    files = studio_files()
    content = files.contents.get(name)
    if content is None:
        return None
    is_own = version == files.version
    kept = f"public, max-age={_YEAR_S}, immutable" if is_own else "no-store"
    headers = {**_SAFE, "Cache-Control": kept, "Vary": "Accept-Encoding"}
    if "gzip" in connection.headers.get("accept-encoding", ""):
        content, headers["Content-Encoding"] = files.compressed[name], "gzip"
    return Response(content, headers=headers, media_type=MEDIA_TYPES[PurePosixPath(name).suffix])


@lru_cache
def _template() -> Template:
    loader = PackageLoader("server.studio")
    return Environment(loader=loader, autoescape=True, keep_trailing_newline=True).get_template(
        "studio.html"
    )
