"""Routes of `/v1/encoders/{id}/report`, for an encoder made by a real job."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from encoders.atomic_files import remove_tree
from encoders.layout import overrides_path, report_path
from tests.server.help import (
    Client,
    assert_error,
    bearer,
    device_held,
    publish,
    wait_for,
    write_keys,
)
from tests.server.stored_help import StoredFolder, data_folder
from tests.unlearn.report_help import card_of, files_of
from unlearn.report.model import Report
from unlearn.report.page import CSP

REPORT = "/v1/encoders/no-pogo/report"
BODY = {
    "id": "no-pogo",
    "concept": "pogo",
    "kind": "character",
    "synonyms": ["<b>&"],
    "settings": {"steps": 3},
}
FAST = {"min_base_rate": 0.0, "max_probes": 2, "judged_videos": 1}
REPORTED = {"report.html": b"<p>", "report.json": b"{}", "a.mp4": b"mp4", "a.png": b"png"}


@pytest.fixture(scope="module")
def made(make_client: Any) -> Client:
    """Return a server on which `no-pogo` was made, judged and published."""
    client: Client = make_client(**FAST, issuer="Acme & Sons")
    assert client.post("/v1/encoders", json=BODY).status_code == 200
    done = wait_for(client, "/v1/encoders/no-pogo")
    assert done["status"] == "published", done
    return client


def test_the_json_is_of_this_encoder_and_of_what_was_asked(made: Client) -> None:
    answer = made.get(REPORT, params={"format": "json"})
    assert answer.headers["content-type"] == "application/json"
    report = Report.model_validate_json(answer.content)
    loaded, told = made.runtime.loaded, made.get("/v1/encoders/no-pogo").json()
    assert report.card == loaded.store.card("no-pogo")
    assert report.card.measures == told["measures"]
    assert report.model == loaded.backbone.name
    gate = {"min_forget_rate": 0, "max_retain_drop": 1, "min_base_rate": 0, "max_probes": 2}
    judged_by = report.card.measures["gate"]
    assert isinstance(judged_by, dict)
    assert {**judged_by, **gate} == judged_by
    assert 0 <= report.card.measures["identity_in_sets_rate"] <= 1  # type: ignore[operator]
    assert report.card.trigger is not None
    assert not report.card.trigger.alone
    page = made.get(REPORT).text
    assert "Left to the base, in a set" in page
    assert "prompts that name a concept are moved by at least" in page
    assert len(report.losses) == 3
    assert len(report.pairs) == 4
    assert [pair.is_target for pair in report.pairs] == [True, False, True, False]
    seen = [pair.shown_base for pair in report.pairs if pair.is_target]
    assert report.card.measures["base_rate"] == seen.count(True) / 2
    kept = [pair.shown_encoder for pair in report.pairs if not pair.is_target]
    assert report.card.measures["retain_rate"] == kept.count(True) / 2
    overrides = StoredFolder(made.runtime, "encoders", "").read(overrides_path(report.card))
    base = made.runtime.loaded.backbone.sources[0] / "text_encoder" / "model.safetensors"
    assert report.sizes.encoder_bytes == len(overrides)
    assert report.sizes.base_bytes == pytest.approx(base.stat().st_size, rel=0.1)  # its header


def test_the_format_parameter_alone_chooses_between_page_and_json(made: Client) -> None:
    answer = made.get(REPORT)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"] == CSP
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.text.startswith("<!doctype html>")
    assert "&lt;b&gt;&amp;" in answer.text
    assert "<b>" not in answer.text
    for params, headers, kind in (
        ({"format": "html"}, {"Accept": "application/json"}, "text/html"),
        ({"format": "json"}, {"Accept": "text/html"}, "application/json"),
        ({}, {"Accept": "application/json"}, "text/html"),
    ):
        answer = made.get(REPORT, params=params, headers=headers)
        assert answer.headers["content-type"].startswith(kind)
        assert "vary" not in answer.headers
    for wrong in ("pdf", "", "HTML"):
        refused = made.get(REPORT, params={"format": wrong})
        assert_error(refused, 400, code="invalid_value")
        assert refused.json()["error"]["param"] == "format"


def test_a_saved_page_has_no_link_that_could_be_dead(made: Client) -> None:
    page = made.get(REPORT).text
    addresses = re.findall(r'(?:href|src)="([^"]*)"', page)
    assert len(addresses) > 8
    assert [address[:40] for address in addresses if not address.startswith("data:")] == []
    assert "Acme &amp; Sons" in page


def test_every_file_that_the_report_names_can_be_read(made: Client) -> None:
    files = made.get(REPORT, params={"format": "json"}).json()["files"]
    assert {name.rpartition(".")[2] for name in files} == {"mp4", "png"}
    for name in files:
        answer = made.get(f"{REPORT}/{name}")
        assert answer.status_code == 200
        kind = "video/mp4" if name.endswith("mp4") else "image/png"
        assert answer.headers["content-type"] == kind
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert f'filename="no-pogo-{name}"' in answer.headers["content-disposition"]
        assert f"sha256:{sha256(answer.content).hexdigest()}" == files[name]


def test_a_file_the_client_has_is_not_sent_again(made: Client) -> None:
    for path in (
        REPORT,
        f"{REPORT}?format=json",
        f"{REPORT}?format=zip",
        f"{REPORT}/forgotten-01-base.mp4",
    ):
        first = made.get(path)
        tag = first.headers["etag"]
        for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
            again = made.get(path, headers={"If-None-Match": known})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == tag
        assert made.get(path, headers={"If-None-Match": '"x"'}).content == first.content
        assert first.headers["cache-control"] == "private, no-cache"
        head = made.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(first.content))
        assert head.headers["content-type"] == first.headers["content-type"]


def test_another_encoder_under_the_same_id_is_not_taken_for_the_first(made: Client) -> None:
    publish(made.runtime, "twice", report={**REPORTED, "report.html": b"first"})
    tag = made.get("/v1/encoders/twice/report").headers["etag"]
    assert made.delete("/v1/encoders/twice").status_code == 200
    assert_error(made.get("/v1/encoders/twice/report", headers={"If-None-Match": tag}), 404)
    publish(made.runtime, "twice", seed=2, report={**REPORTED, "report.html": b"second"})
    assert made.get("/v1/encoders/twice/report", headers={"If-None-Match": tag}).text == "second"


@pytest.mark.parametrize(
    "name",
    [
        "missing.png",
        "report.html",
        "report.json",
        "..%2fcard.json",
        "..%2f..%2fcard.png",
        "%2e%2e.png",
        "a%00.png",
        ".png",
        "a.PNG",
        "x" * 200 + ".png",
    ],
)
def test_nothing_but_the_reports_own_clips_and_stills_is_given_out(made: Client, name: str) -> None:
    answer = made.get(f"{REPORT}/{name}")
    assert answer.status_code in (400, 404)
    error = answer.json()["error"]
    assert error["code"] in ("report_not_found", "invalid_id", "not_found")
    if error["code"] != "not_found":  # the router's own
        assert error["param"] == "file"


def test_an_encoder_without_a_report_says_so(made: Client) -> None:
    publish(made.runtime, "imported")
    for path in ("report", "report?format=json"):
        missing = made.get(f"/v1/encoders/imported/{path}")
        assert_error(missing, 404, code="report_not_found", says="imported")
    assert_error(made.get("/v1/encoders/nobody/report"), 404, code="encoder_not_found")
    assert made.head("/v1/encoders/imported/report").status_code == 404


def test_a_report_that_was_damaged_or_replaced_is_not_sent(made: Client, tmp_path: Path) -> None:
    publish(made.runtime, "broken", report=files_of(card_of(id="broken")))
    url = "/v1/encoders/broken/report"
    card = made.runtime.loaded.store.card("broken")
    clip = "forgotten-01-base.mp4"
    for name, address in (
        ("report.json", f"{url}?format=json"),
        ("report.html", url),
        (clip, f"{url}/{clip}"),
    ):
        path = data_folder(made.runtime, "encoders") / report_path(card, name)
        whole = path.read_bytes()
        assert made.get(address).content == whole
        other = tmp_path / name
        other.write_bytes(whole)
        puts: dict[str, Callable[[], object]] = {
            "link": lambda path=path, other=other: path.symlink_to(other),
            "pipe": lambda path=path: os.mkfifo(path),
            "folder": lambda path=path: path.mkdir(),
            "empty": lambda path=path: path.touch(),
        }
        if name != "report.html":
            puts["cut"] = lambda path=path, whole=whole: path.write_bytes(whole[:-9])
            puts["garbage"] = lambda path=path: path.write_bytes(b"root:x:0:0")
        for what, put in puts.items():
            remove_tree(path)
            put()
            refused = made.get(address)
            assert refused.status_code == 404, (name, what)
            assert_error(refused, 404, code="report_not_found", says="broken")
        remove_tree(path)
        path.write_bytes(whole)
        assert made.get(address).content == whole
    folder = path.parent
    moved = folder.rename(tmp_path / "moved")
    folder.symlink_to(moved)
    for address in (url, f"{url}?format=json", f"{url}/{clip}", f"{url}?format=zip"):
        assert_error(made.get(address), 404, code="report_not_found")


def test_an_encoder_that_is_being_made_has_no_report_yet(made: Client) -> None:
    with device_held(made.runtime):
        assert made.post("/v1/encoders", json={**BODY, "id": "young"}).status_code == 200
        for path in ("report", "report/a.png"):
            early = made.get(f"/v1/encoders/young/{path}")
            assert_error(early, 409, code="encoder_not_ready", says="young")
            assert early.headers["x-should-retry"] == "false"
        assert made.delete("/v1/encoders/young").status_code == 200


def test_the_document_of_the_api_has_both(made: Client) -> None:
    document = made.get("/openapi.json").json()
    page = document["paths"]["/v1/encoders/{encoder_id}/report"]["get"]["responses"]["200"]
    assert set(page["content"]) == {"text/html", "application/json", "application/zip"}
    reference = page["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    fields = document["components"]["schemas"][reference]["properties"]
    assert set(fields) == set(json.loads(made.get(REPORT, params={"format": "json"}).content))
    file = document["paths"]["/v1/encoders/{encoder_id}/report/{file}"]["get"]
    assert set(file["responses"]["200"]["content"]) == {"video/mp4", "image/png"}


# Servers of their own, after all that use the one above: there is one at a time.


def test_an_encoder_that_failed_has_none_and_says_why(make_client: Any) -> None:
    strict: Client = make_client(**{**FAST, "min_base_rate": 1.0})
    strict.post("/v1/encoders", json=BODY)
    assert wait_for(strict, "/v1/encoders/no-pogo")["status"] == "failed"
    assert_error(strict.get(REPORT), 409, code="encoder_failed", says="base shows 'pogo'")


def test_only_keys_that_may_use_an_encoder_may_read_its_report(
    make_client: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    keys = write_keys(
        tmp_path_factory.mktemp("keys") / "keys.json",
        admin={"role": "admin"},
        acme={"role": "user", "encoders": ["acme-policy"]},
        other={"role": "user", "encoders": ["no-blip"]},
        free={"role": "user", "encoders": ["*"]},
    )
    client: Client = make_client(keys_file=keys)
    for seed, name in enumerate(("no-pogo", "no-blip")):
        publish(client.runtime, name, seed=seed, report=files_of(card_of(id=name)))
    alias = client.put(
        "/v1/aliases/acme-policy", json={"encoder": "no-pogo"}, headers=bearer("secret-admin")
    )
    assert alias.status_code == 200
    for path in ("report", "report?format=json", "report/forgotten-02-encoder.png"):
        for encoder, allowed in (
            ("no-pogo", {"admin", "acme", "free"}),
            ("no-blip", {"admin", "other", "free"}),
        ):
            url = f"/v1/encoders/{encoder}/{path}"
            for key in ("admin", "acme", "other", "free"):
                seen_by = key if key in allowed else "admin"
                tag = client.get(url, headers=bearer(f"secret-{seen_by}")).headers["etag"]
                for known in ({}, {"If-None-Match": tag}, {"If-None-Match": "*"}):
                    headers = {**bearer(f"secret-{key}"), **known}
                    answer = client.get(url, headers=headers)
                    if key in allowed:
                        assert answer.status_code == (304 if known else 200), (key, url)
                    else:
                        absent = client.get(url.replace(encoder, "never-made"), headers=headers)
                        assert_error(answer, 404, code="encoder_not_found")
                        assert absent.json()["error"]["code"] == answer.json()["error"]["code"]
                        assert client.head(url, headers=headers).status_code == 404
            for headers in ({}, bearer("wrong")):
                assert_error(client.get(url, headers=headers), 401, code="invalid_api_key")
