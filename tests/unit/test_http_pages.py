"""The pages for browsers: which files are served, to whom, with which headers; vendored ones are unchanged."""

from __future__ import annotations

import gzip
import re
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

import pytest

from alex_http.pages import is_page
from tests.unit.guarded_server import Guarded

PACKAGE = files("alex_http")
VENDOR = PACKAGE / "docs_page" / "vendor"
PAGES = ["/", "/docs"]
FILES = ["/page/icon.svg", "/docs/docs.js", "/docs/docs.css", "/docs/swagger-ui-bundle.js", "/favicon.ico"]
NONCE = re.compile("'(unsafe-[a-z-]+|nonce-[^']+|strict-dynamic)'")


@pytest.fixture
def server(tmp_path: Path) -> Guarded:
    return Guarded(tmp_path)


@pytest.mark.parametrize("path", [*PAGES, *FILES])
def test_a_page_and_its_files_need_no_token_and_are_sent_whole(server: Guarded, path: str) -> None:
    server.make()

    got, head = server.request("GET", path), server.request("HEAD", path)

    assert (got.status_code, head.status_code) == (200, 200)
    assert int(got.headers["Content-Length"]) == len(got.content) > 100
    assert head.headers["Content-Length"] == got.headers["Content-Length"]
    assert head.content == b""
    assert server.reasons() == []


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/docs", "text/html; charset=utf-8"),
        ("/docs/docs.js", "text/javascript; charset=utf-8"),
        ("/docs/docs.css", "text/css; charset=utf-8"),
        ("/page/icon.svg", "image/svg+xml"),
        ("/favicon.ico", "image/svg+xml"),
    ],
)
def test_a_file_has_its_media_type_whatever_the_client_says_that_it_accepts(
    server: Guarded, path: str, media_type: str
) -> None:
    types = {
        server.request("GET", path, Accept=accept).headers["Content-Type"]
        for accept in ("*/*", "application/json")
    }

    assert types == {media_type}


@pytest.mark.parametrize("path", [*PAGES, *FILES])
def test_a_page_may_load_files_of_this_server_alone_and_nothing_inline(server: Guarded, path: str) -> None:
    headers = server.request("GET", path).headers

    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert not NONCE.search(headers["Content-Security-Policy"])
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["X-Request-ID"]


def test_text_becomes_neither_html_nor_script_in_the_page(server: Guarded) -> None:
    policy = server.request("GET", "/").headers["Content-Security-Policy"]

    assert "require-trusted-types-for 'script'; trusted-types 'none'" in policy


@pytest.mark.parametrize("path", [*PAGES, *FILES])
def test_a_browser_asks_each_time_and_is_sent_what_it_does_not_have(server: Guarded, path: str) -> None:
    first = server.request("GET", path)
    etag = first.headers["ETag"]

    known = [server.request(method, path, If_None_Match=f'"other", W/{etag}') for method in ("GET", "HEAD")]
    other = server.request("GET", path, If_None_Match='"other"')

    assert first.headers["Cache-Control"] == "no-cache"
    assert re.fullmatch('"[0-9a-f]{32}"', etag)
    for reply in known:
        assert (reply.status_code, reply.content) == (304, b"")
        assert (reply.headers["ETag"], reply.headers["Cache-Control"]) == (etag, "no-cache")
        assert reply.headers["Content-Security-Policy"] == first.headers["Content-Security-Policy"]
    assert (other.status_code, other.content) == (200, first.content)


@pytest.mark.parametrize(
    "path",
    [
        "/page/none.js",
        "/page/",
        "/page/index.html",
        "/page/..",
        "/page/../pages.py",
        "/page/..%2fpages.py",
        "/page/%2e%2e%2fpages.py",
        "/page/..\\pages.py",
        "/page//etc/passwd",
        "/page/%2fetc%2fpasswd",
        "/page/icon.svg%00",
        "/page/icon.svg/",
        "/page/ICON.SVG",
        "/docs/",
        "/docs/vendor",
        "/docs/vendor/LICENSE",
        "/docs/LICENSE",
        "/docs/icon.svg",
    ],
)
def test_nothing_else_is_there(server: Guarded, path: str) -> None:
    reply = server.request("GET", path)

    assert reply.status_code == 404
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert reply.headers["Cache-Control"] == "no-store"
    assert "script-src" not in reply.headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", [*PAGES, *FILES, "/page/none.js"])
def test_a_rebound_name_is_shown_no_page(server: Guarded, path: str) -> None:
    assert server.request("GET", path, Host="evil.example").status_code == 403


@pytest.mark.parametrize("path", [*PAGES, *FILES])
def test_a_page_only_reads_and_who_would_write_to_it_needs_a_token(server: Guarded, path: str) -> None:
    token = server.make()

    assert server.request("POST", path).status_code == 401
    assert server.request("POST", path, token=token).status_code == 405
    # As programs that pass links on write them.
    assert server.request("GET", f"{path}?utm_source=chat").status_code == 200


def test_a_link_to_a_page_may_be_on_any_site_and_nobody_else_s_page_may_use_its_files(server: Guarded) -> None:
    site = {"Sec_Fetch_Site": "cross-site"}

    link = server.request("GET", "/", Sec_Fetch_Mode="navigate", Sec_Fetch_Dest="document", **site)
    frame = server.request("GET", "/", Sec_Fetch_Mode="navigate", Sec_Fetch_Dest="iframe", **site)
    script = server.request("GET", "/docs/docs.js", Sec_Fetch_Mode="no-cors", Sec_Fetch_Dest="script", **site)

    assert [reply.status_code for reply in (link, frame, script)] == [200, 403, 403]


def test_pages_are_not_counted_among_a_client_s_requests(tmp_path: Path) -> None:
    server = Guarded(tmp_path, requests_per_minute=1)

    pages = [server.request("GET", path).status_code for path in [*PAGES, *FILES]]
    calls = [server.request("GET", "/api/tasks").status_code for _ in range(2)]

    assert pages == [200] * len(pages)
    assert calls == [200, 429]


def test_every_file_that_a_page_names_is_there_and_no_other_host_is_named(server: Guarded) -> None:
    for path in PAGES:
        html = server.request("GET", path).text
        named = re.findall(r'(?:src|href)="([^"#][^"]*)"', html)

        assert named
        for name in named:
            assert server.request("GET", f"/{name.removeprefix('/')}").status_code == 200, name
        assert "//" not in re.sub(r"<!--.*?-->", "", html, flags=re.DOTALL)


@pytest.mark.parametrize("accepted", ["gzip", "br, GZIP;q=0.5", "*", "deflate , gzip ; q=1.0,br", "gzip;q=0.01"])
def test_who_takes_gzip_is_sent_a_fraction(server: Guarded, accepted: str) -> None:
    plain = server.request("GET", "/docs/swagger-ui-bundle.js")

    zipped = server.request("GET", "/docs/swagger-ui-bundle.js", Accept_Encoding=accepted)
    known = server.request(
        "GET", "/docs/swagger-ui-bundle.js", Accept_Encoding=accepted, If_None_Match=zipped.headers["ETag"]
    )

    assert zipped.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(zipped.content) == plain.content
    assert len(zipped.content) < len(plain.content) / 3
    assert zipped.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"
    assert zipped.headers["ETag"] != plain.headers["ETag"]
    assert known.status_code == 304


@pytest.mark.parametrize("accepted", ["", "br", "gzip;q=0", "gzip;q=0.000, br", "x-gzipped", "identity"])
def test_who_does_not_take_gzip_is_sent_the_file_as_it_is(server: Guarded, accepted: str) -> None:
    reply = server.request("GET", "/docs/docs.css", Accept_Encoding=accepted)

    assert "Content-Encoding" not in reply.headers
    assert reply.content.startswith(b"/*")


def test_a_page_says_also_that_it_differs_by_origin_where_other_origins_are_allowed(tmp_path: Path) -> None:
    server = Guarded(tmp_path, cors_origins=["https://app.example"])

    reply = server.request("GET", "/", Origin="https://app.example")

    assert reply.headers["Vary"] == "Accept-Encoding, Origin"
    assert reply.headers["Access-Control-Allow-Origin"] == "https://app.example"


def test_vendored_files_are_what_was_published() -> None:
    lines = (VENDOR / "SHA256SUMS").read_text().splitlines()
    published = {name: digest for digest, name in (line.split("  ") for line in lines)}

    there = {file.name: sha256(file.read_bytes()).hexdigest() for file in VENDOR.iterdir()}

    del there["README.md"], there["SHA256SUMS"]
    assert there == published
    assert sum(len(file.read_bytes()) for file in VENDOR.iterdir()) < 2_000_000


@pytest.mark.parametrize("path", ["/pages", "/page", "/docsx", "/api/tasks", "//", "/api/../page/", ""])
def test_other_paths_are_no_pages(path: str) -> None:
    assert not is_page(path)
