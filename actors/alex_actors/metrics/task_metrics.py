"""The metrics of tasks, of their models and tools, and of commits: what the store actor's meter has counted."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.registry import Collector

from alex_actors.metrics.families import by_name, counter, gauge, histogram
from alex_actors.metrics.task_meter import TaskMeter


class TaskMetrics(Collector):
    """Reads the meter whenever it is asked."""

    def __init__(self, meter: TaskMeter) -> None:
        self._meter = meter

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as they are now. Any thread."""
        yield from self._tasks()
        yield from self._models()
        yield from self._tools()
        meter = self._meter
        yield histogram(
            "alex_store_commit_seconds", "How long a transaction took.", (), {(): meter.commit_seconds}
        )
        yield histogram(
            "alex_store_commit_messages", "For how many messages a transaction was.", (),
            {(): meter.commit_messages},
        )  # fmt: skip

    def _tasks(self) -> Iterator[Metric]:
        meter = self._meter
        unfinished = {"pending": meter.pending, "running": meter.running}
        yield gauge("alex_tasks", "Tasks that have not ended.", ("status",), by_name(unfinished))
        yield gauge("alex_sub_agents", "Those of them that are of sub-agents.", (), {(): meter.sub_agents})
        yield counter("alex_tasks_created_total", "Tasks that were recorded.", (), {(): meter.created})
        yield counter("alex_tasks_ended_total", "Tasks that ended.", ("status", "reason"), meter.ended.copy())
        yield histogram(
            "alex_task_queue_seconds", "From a task's submission to its start.", (), {(): meter.queue_seconds}
        )
        yield histogram(
            "alex_task_first_event_seconds",
            "From a task's submission until the first event of its agent was committed.", (),
            {(): meter.first_event_seconds},
        )  # fmt: skip
        yield histogram("alex_task_run_seconds", "From a task's start to its end.", (), {(): meter.run_seconds})

    def _models(self) -> Iterator[Metric]:
        meter = self._meter
        yield counter(
            "alex_model_calls_total", "Calls of models that ended, each with its retries.", ("model", "outcome"),
            meter.model_calls.copy(),
        )  # fmt: skip
        yield histogram(
            "alex_model_call_seconds", "How long a model that replied took, with its retries.", ("model",),
            {(model,): seconds for model, seconds in meter.model_seconds.copy().items()},
        )  # fmt: skip
        yield counter(
            "alex_model_tokens_total", "Tokens that models took and gave.", ("model", "direction"),
            meter.model_tokens.copy(),
        )  # fmt: skip
        yield counter(
            "alex_model_cost_dollars_total", "What calls of models cost, as far as prices are known.", ("model",),
            by_name(meter.model_dollars.copy()),
        )  # fmt: skip
        yield counter(
            "alex_model_errors_total", "Attempts of calls of models that failed.", ("model",),
            by_name(meter.model_errors.copy()),
        )  # fmt: skip

    def _tools(self) -> Iterator[Metric]:
        meter = self._meter
        yield counter(
            "alex_tool_calls_total", "Calls of tools that ended.", ("tool", "outcome"),
            meter.tool_calls.copy(),
        )  # fmt: skip
        yield histogram(
            "alex_tool_seconds", "How long a call of a tool took.", ("tool",),
            {(tool,): seconds for tool, seconds in meter.tool_seconds.copy().items()},
        )  # fmt: skip
