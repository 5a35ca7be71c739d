"""The contract as OpenAPI 3.1, for programs: ``/openapi.json``."""

from alex_http.openapi.document import openapi_document
from alex_http.openapi.resource import OpenApi

__all__ = ["OpenApi", "openapi_document"]
