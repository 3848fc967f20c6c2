"""Spellings of an encoder's name, and the ways in which a request can carry one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote

from benchmarks.faults.strange_requests import StrangeRequest

_PART = '--x\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
_JSON, _FORM, _URLENCODED = (
    "application/json",
    "multipart/form-data; boundary=x",
    "application/x-www-form-urlencoded",
)
_LOOKS_LIKE = str.maketrans("aeonmd", "\u0430\u0435\u043e\u0578\u043c\u0501")
"""Letters of other alphabets that look like these."""


def spellings(name: str, own: str, model: str) -> Sequence[str]:
    """Return fifty ways to write a name, and a few more; careless code could take each for it.

    Args:
        name: the name that is meant.
        own: a name that the caller may use.
        model: the server's model.
    """
    wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in name)
    hexed = "".join(f"%{ord(c):02x}" for c in name)
    found = (
        *(name, name.upper(), name.title(), name.swapcase(), wide, name.translate(_LOOKS_LIKE)),
        *(f" {name}", f"{name} ", f"\t{name}", f"{name}\n", f"\u00a0{name}", f"{name}\u200b"),
        *(f"\ufeff{name}", f"\u202e{name}", f"{name}\u0301", f"{name}\x00", f"{name}\x00{own}"),
        *(hexed, quote(hexed), f"%20{name}", f"{name}%00", f"{name}%2e", f"+{name}", f"{name}+"),
        *(
            f"./{name}",
            f"../{name}",
            f"{own}/../{name}",
            f"/{name}",
            f"{name}/",
            f"encoders/{name}",
        ),
        *(f"..\\{name}", f"{own}\\..\\{name}", f"{model}:{name}", f"{model}:{model}:{name}"),
        *(f":{name}", f"{name}:", f"{name}:{own}", f"{own}:{name}", f"{own},{name}"),
        *(
            f"{name},{own}",
            f"{own} {name}",
            f"{own};{name}",
            f"{own}|{name}",
            f"{own}&encoder={name}",
        ),
        *(f'["{name}"]', f"'{name}'", f'"{name}"', f"{name}*", f"{name}?", f"{name}#{own}"),
        *(f"{own}\n{name}", f"{name}@latest", f"{name}.", f"${{{name}}}"),
    )
    return tuple(dict.fromkeys(found))


Way = Callable[[str, str, str], tuple[str, str, str]]
"""Function from the model, the caller's own name and a spelling to a query, a content type and the
body, without the fields that every request has."""


def _json(**fields: object) -> str:
    return json.dumps(fields)[1:-1]


def _form(*fields: tuple[str, str]) -> str:
    return "".join(_PART.format(name, value) for name, value in fields)


def _urlencoded(*fields: tuple[str, str]) -> str:
    return "&".join(f"{quote(name, safe='[]')}={quote(value)}" for name, value in fields)


WAYS: Mapping[str, Way] = {
    "encoder": lambda model, own, name: ("", _JSON, _json(encoder=name)),
    "model": lambda model, own, name: ("", _JSON, _json(model=f"{model}:{name}")),
    "model alone": lambda model, own, name: ("", _JSON, _json(model=name)),
    "both": lambda model, own, name: ("", _JSON, _json(model=f"{model}:{own}", encoder=name)),
    "both, turned": lambda model, own, name: (
        "",
        _JSON,
        _json(model=f"{model}:{name}", encoder=own),
    ),
    "twice": lambda model, own, name: ("", _JSON, _json(encoder=own) + "," + _json(encoder=name)),
    "twice, turned": lambda model, own, name: (
        "",
        _JSON,
        _json(encoder=name) + "," + _json(encoder=own),
    ),
    "a list": lambda model, own, name: ("", _JSON, _json(encoder=[own, name])),
    "an object": lambda model, own, name: ("", _JSON, _json(encoder={"id": name})),
    "another case": lambda model, own, name: ("", _JSON, _json(Encoder=name)),
    "form": lambda model, own, name: ("", _FORM, _form(("encoder", name))),
    "form, model": lambda model, own, name: ("", _FORM, _form(("model", f"{model}:{name}"))),
    "form, twice": lambda model, own, name: ("", _FORM, _form(("encoder", own), ("encoder", name))),
    "form, twice, turned": lambda model, own, name: (
        "",
        _FORM,
        _form(("encoder", name), ("encoder", own)),
    ),
    "form, list": lambda model, own, name: (
        "",
        _FORM,
        _form(("encoder[]", own), ("encoder[]", name)),
    ),
    "urlencoded": lambda model, own, name: ("", _URLENCODED, _urlencoded(("encoder", name))),
    "urlencoded, twice": lambda model, own, name: (
        "",
        _URLENCODED,
        _urlencoded(("encoder", own), ("encoder", name)),
    ),
    "query": lambda model, own, name: (f"?{_urlencoded(('encoder', name))}", _JSON, ""),
    "query, beside the body's": lambda model, own, name: (
        f"?{_urlencoded(('encoder', name))}",
        _JSON,
        _json(encoder=own),
    ),
}


def carrying(
    path: str, way: str, names: tuple[str, str, str], fields: Mapping[str, object]
) -> StrangeRequest:
    """Return a request that carries a spelling.

    Args:
        path: the path.
        way: one of `WAYS`.
        names: the server's model, a name that the caller may use, and the spelling.
        fields: the other fields of the body.
    """
    query, kind, body = WAYS[way](*names)
    texts = [(name, str(value)) for name, value in fields.items()]
    if kind == _JSON:
        body = "{" + ",".join(part for part in (_json(**fields), body) if part) + "}"
    elif kind == _FORM:
        body = _form(*texts) + body + "--x--\r\n"
    else:
        body = _urlencoded(*texts) + "&" + body
    content = body.encode("utf-8", "surrogatepass")
    return StrangeRequest("POST", path + query, (("Content-Type", kind),), content)
