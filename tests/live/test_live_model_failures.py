"""Models that fail, on a server that somebody else wrote: what is tried again, what is told, and how it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live.client import Client
from tests.live.model_server import KEY, ModelServer, answers, fails
from tests.live.process import Json, ServerProcess, run_alex

LONG = "A long answer that is cut off somewhere in the middle, and then said again to its very end."


def errors(client: Client, task_id: str) -> list[Json]:
    return [event for event in client.events(task_id) if event["event_type"] == "error"]


def test_a_model_that_is_asked_too_often_is_asked_again_when_it_says(
    model_client: Client, model_server: ModelServer
) -> None:
    model_server.script(
        answers("Be patient", fails(429, "Slow down.", retryAfter=1), when={"sequenceIndex": 0}),
        answers("Be patient", {"content": "I am."}, when={"sequenceIndex": 1}),
    )

    task = model_client.answered("Be patient.")

    first, second = model_server.asked("Be patient.")
    (error,) = errors(model_client, task["task_id"])
    assert task["result"]["answer"] == "I am."
    assert (first.status, second.status) == (429, 200)
    assert second.came - first.came >= 1
    assert (error["phase"], error["recoverable"]) == ("think", True)
    assert "Slow down" in error["error"]


def test_a_reply_that_breaks_off_is_asked_for_again_and_counts_for_nothing(
    model_client: Client, model_server: ModelServer
) -> None:
    cut, whole = ({"sequenceIndex": number} for number in range(2))
    model_server.script(
        answers("Say much", {"content": LONG}, when=cut, chunkSize=10, truncateAfterChunks=4),
        answers("Say much", {"content": LONG}, when=whole, chunkSize=10),
    )

    task = model_client.answered("Say much.")

    events = model_client.events(task["task_id"])
    (error,) = errors(model_client, task["task_id"])
    (thought,) = [event for event in events if event["event_type"] == "think_complete"]
    again = [event["delta"] for event in events[events.index(error) :] if event["event_type"] == "assistant_delta"]
    assert [call.whole for call in model_server.asked("Say much.")] == [False, True]
    assert error["recoverable"] is True
    assert "".join(again) == thought["content"] == task["result"]["answer"] == LONG


def test_a_model_that_keeps_failing_fails_the_task_once_its_attempts_are_used(
    model_client: Client, model_server: ModelServer
) -> None:
    model_server.script(answers("Storm", fails(500, "The server is upset.")))

    task = model_client.ended(model_client.submit("Storm.", model="stormy")["task_id"])

    told = errors(model_client, task["task_id"])
    assert [call.status for call in model_server.asked("Storm.")] == [500, 500]
    assert [error["recoverable"] for error in told] == [True, False]
    _failed(task, "stormy", "The server is upset")


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("locked", ("refuses the API key", "401", "models.locked.api_key")),
        ("hidden", ("not known", "404", "models.hidden.name")),
    ],
)
def test_what_no_retry_mends_fails_the_task_at_once_and_says_what_would(
    model_client: Client, model_server: ModelServer, model: str, words: tuple[str, ...]
) -> None:
    said = f"Open the {model} door"
    model_server.script(answers(said, {"content": "Come in."}, when={"model": "another"}))

    task = model_client.ended(model_client.submit(f"{said}.", model=model)["task_id"])

    (error,) = errors(model_client, task["task_id"])
    assert error["recoverable"] is False
    assert "sk-of-nobody" not in str(task) + str(error)
    _failed(task, *words)


def test_an_api_key_that_its_provider_repeats_is_nowhere_on_record(
    modelled: ServerProcess, model_client: Client, model_server: ModelServer
) -> None:
    model_server.script(answers("Repeat my key", fails(401, f"Incorrect API key provided: {KEY}.")))

    task = model_client.ended(model_client.submit("Repeat my key.")["task_id"])

    _failed(task, "refuses the API key", "Incorrect API key provided")
    files = [file for file in modelled.data_dir.rglob("*") if file.is_file()]
    assert len(files) > 2
    assert [file for file in files if KEY.encode() in file.read_bytes()] == []
    assert KEY not in modelled.stdout + modelled.stderr


def test_a_model_server_that_is_not_there_fails_the_task(model_client: Client) -> None:
    task = model_client.ended(model_client.submit("Is anybody there?", model="absent")["task_id"])

    assert [error["recoverable"] for error in errors(model_client, task["task_id"])] == [True, False]
    _failed(task, "cannot be reached", "127.0.0.1:9", "models.absent.base_url")


def test_a_model_that_refuses_fails_the_task(model_client: Client, model_server: ModelServer) -> None:
    refusal = {"content": "Well, to begin with", "finishReason": "content_filter"}
    model_server.script(answers("Something indecent", refusal))

    task = model_client.ended(model_client.submit("Something indecent.")["task_id"])

    (_asked_once,) = model_server.asked("indecent")
    _failed(task, "refused")


def test_a_model_that_the_configuration_does_not_have_is_refused(model_client: Client) -> None:
    reply = model_client.try_submit("Hello.", model="of-somebody-else")

    assert reply.status_code == 400
    assert "of-somebody-else" in reply.text
    assert "stormy" in reply.text


def test_a_model_that_cannot_be_used_as_it_is_configured_stops_the_start(tmp_path: Path) -> None:
    ended = run_alex("serve", "--port", "0", directory=tmp_path, settings={"MODEL__NAME": "gpt-5-mini"})

    assert ended.returncode != 0
    assert "api_key" in ended.stderr
    assert "listens on" not in ended.stderr


def test_a_limit_of_what_a_task_costs_needs_the_price_of_each_model(tmp_path: Path) -> None:
    (tmp_path / "alex.toml").write_text(
        '[model]\nname = "llama3"\nbase_url = "http://127.0.0.1:1/v1"\n[agents]\nmax_cost_usd = 0.01\n'
        "[prices.lama3]\ninput = 1\noutput = 1\n"
    )

    ended = run_alex("serve", "--port", "0", directory=tmp_path)

    assert ended.returncode == 2
    assert 'what the model llama3 costs is not known: give its price in [prices."llama3"]' in ended.stderr


def _failed(task: Json, *words: str) -> None:
    """Check that a task failed loudly: with words that say why, and with no answer of any other model."""
    assert (task["status"], task["result"], task["termination_reason"]) == ("failed", None, "error")
    for word in words:
        assert word in task["error"]
    assert KEY not in task["error"]
    assert "offline" not in task["error"]
