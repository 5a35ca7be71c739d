"""``/openapi.json``."""

from __future__ import annotations

from functools import cached_property

import falcon

from alex_http.catalog import Catalog
from alex_http.exchange import Request
from alex_http.openapi.document import openapi_document
from alex_http.query import Query
from alex_http.wire import encode


class OpenApi:
    """The contract of this very server: of its version, with the presets and models of its configuration."""

    def __init__(self, *, version: str, catalog: Catalog) -> None:
        self._version = version
        self._catalog = catalog

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Read the document."""
        Query(req)
        resp.data = self._document

    on_head = on_get

    @cached_property
    def _document(self) -> bytes:
        # Made when it is first asked for: 15 ms. Two workers that make it at once make the same one.
        return encode(openapi_document(version=self._version, catalog=self._catalog))
