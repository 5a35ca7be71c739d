"""The OpenAPI document: valid, complete, with examples that fit, and the same calls as the table of routes."""

from __future__ import annotations

import inspect as python_inspect
import json
from collections.abc import Iterator

import falcon.inspect
import msgspec
import pytest
from msgspec import structs
from openapi_spec_validator import OpenAPIV31SpecValidator

from alex_http import errors, wire
from alex_http.openapi import openapi_document
from alex_http.openapi.schemas import name_of
from tests.live.openapi_contract import Contract, closed
from tests.live.process import Json
from tests.unit.fake_runtime import CATALOG, FakeRuntime, Log, application
from tests.unit.held_requests import HeldClient

PRESETS = structs.replace(CATALOG, agent_presets=("default", "researcher"), tool_presets=("safe", "read-only"))

METHODS = {"DELETE", "GET", "PATCH", "POST", "PUT"}
"""Those that the document names: HEAD is wherever GET is, which it says, and OPTIONS everywhere."""


@pytest.fixture(scope="module")
def document() -> Json:
    return openapi_document(version="1.2.3", catalog=PRESETS)


def test_it_is_valid_openapi(document: Json) -> None:
    OpenAPIV31SpecValidator(document).validate()


def test_it_has_the_same_calls_as_the_table_of_routes(document: Json) -> None:
    routes = falcon.inspect.inspect_routes(application(FakeRuntime(), Log()))
    there = {
        (route.path.replace(":name}", "}"), method.method.lower())
        for route in routes
        for method in route.methods
        if not method.internal and method.method in METHODS
    }

    assert Contract(document).operations() == there


def test_it_is_served_whatever_is_asked_for_with_the_reply_s_headers() -> None:
    client = HeldClient(application(FakeRuntime(), Log()), headers={"Host": "localhost"})

    reply = client.simulate_get("/openapi.json")

    assert reply.status_code == 200
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.json["openapi"] == "3.1.0"
    assert client.simulate_head("/openapi.json").status_code == 200
    assert client.simulate_get("/openapi.json?a=b").status_code == 400


def test_every_body_on_the_wire_is_in_it(document: Json) -> None:
    bodies = [
        name_of(struct)
        for _, struct in python_inspect.getmembers(wire, python_inspect.isclass)
        if issubclass(struct, msgspec.Struct) and struct.__module__ == wire.__name__
    ]

    assert set(bodies) - document["components"]["schemas"].keys() == set()
    assert len(set(bodies)) == len(bodies)  # no two share a name


def test_every_error_with_a_status_of_its_own_is_in_it(document: Json) -> None:
    told = {
        status for item in document["paths"].values() for call in item.values() for status in call["responses"]
    }
    statuses = {str(problem.status) for problem in kinds_of(errors.Problem)}

    assert statuses - told == {"405"}  # of a method that is not in the document


def kinds_of(problem: type[errors.Problem]) -> Iterator[type[errors.Problem]]:
    """Go through a branch of the tree of errors."""
    yield problem
    for kind in problem.__subclasses__():
        yield from kinds_of(kind)


def test_its_examples_fit_their_schemas(document: Json) -> None:
    contract = Contract(document)
    count = 0

    for item in document["paths"].values():
        for call in item.values():
            bodies = [call.get("requestBody", {}), *call["responses"].values()]
            for media in (media for body in bodies for media in body.get("content", {}).values()):
                examples = [example["value"] for example in media.get("examples", {}).values()]
                for example in [*examples, *([media["example"]] if "example" in media else [])]:
                    contract.validate(example, media["schema"])
                    count += 1

    assert count >= 15


def test_a_checked_reply_may_have_nothing_that_is_not_in_it(document: Json) -> None:
    contract = Contract(document)
    headers = {"content-type": "application/json", "x-request-id": "a", "x-trace-id": "0" * 32}

    contract.check("GET", "/ready", 200, headers, b'{"status": "ready"}')

    for status, sent, body in [
        (200, headers, b'{"status": "ready", "more": 1}'),
        (200, headers, b"{}"),
        (200, headers | {"x-trace-id": "z"}, b'{"status": "ready"}'),
        (200, {**headers, "content-type": "text/html"}, b'{"status": "ready"}'),
        (200, {"content-type": "application/json"}, b'{"status": "ready"}'),
        (201, headers, b'{"status": "ready"}'),
        (200, headers, b""),
    ]:
        with pytest.raises(AssertionError):
            contract.check("GET", "/ready", status, sent, body)


def test_it_names_what_this_server_has_to_choose_from(document: Json) -> None:
    fields = document["components"]["schemas"]["SubmitBody"]["properties"]

    assert fields["agent_preset"]["anyOf"][0]["enum"] == ["", *PRESETS.agent_presets]
    assert fields["tool_preset"]["anyOf"][0]["enum"] == ["", *PRESETS.tool_presets]
    assert fields["model"]["anyOf"][0]["enum"] == ["", *PRESETS.models]
    assert document["info"]["version"] == "1.2.3"


def test_no_name_of_python_s_is_in_it(document: Json) -> None:
    text = json.dumps(document)

    assert "``" not in text
    assert r"\\A" not in text
    assert "Out" not in "".join(document["components"]["schemas"])


def test_objects_are_closed_for_the_checks_alone(document: Json) -> None:
    task = document["components"]["schemas"]["Task"]

    assert "additionalProperties" not in task  # a newer server may add fields
    assert closed(dict(task))["additionalProperties"] is False
