"""The view for a person: what is over goes to the scrollback once, what changes is drawn at the bottom."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from alex_http.client import Event, Task
from alex_http.terminal.bottom import Bottom
from alex_http.terminal.harmless import harmless, one_line
from alex_http.terminal.progress import Call, Progress, Tasks
from alex_http.terminal.views import Answers, Shows
from alex_http.terminal.watcher import watch_command
from alex_http.terminal.words import LONGEST_FACT, arguments, decision, duration, figures, summary

_SIGNS = {"task": "●", "done": "✓", "failed": "✗", "stopped": "■", "ask": "?", "trouble": "!", "says": "│"}
_PLAIN_SIGNS = {"task": "*", "done": "+", "failed": "x", "stopped": "-", "ask": "?", "trouble": "!", "says": "|"}
_SPINNER, _PLAIN_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "|/-\\"
_STYLES = {"completed": ("done", "green"), "failed": ("failed", "red"), "cancelled": ("stopped", "yellow")}
MOST_LINES_OF_A_QUESTION = 100
"""Of a call that waits for a person's word. Who decides should see all of it, or be told that it is not all."""
LONGEST_HEAD, MOST_ROWS_OF_HEAD = 2000, 4
"""Characters and rows of a task's text, with which it begins."""
HANDS_ON = "delegate"
"""The tool that has sub-agents work. Their events, questions among them, are not those of the task."""
MOST_TASKS = 5
"""Of a session, which are shown at work."""


class LiveView:
    """Shows tasks on a terminal. ``known`` is the task, if it is one; ``now`` for the clock of one that runs."""

    def __init__(
        self, *, console: Console, answers: Answers, shows: Shows, known: Task | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC), monotonic: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._console = console
        self._bottom = Bottom(console)
        self._answers = answers
        self._several = shows == "session"
        self._brief = shows == "turn"
        self._known = known
        self._now = now
        self._monotonic = monotonic
        utf = console.encoding.startswith("utf")
        self._signs = _SIGNS if utf else _PLAIN_SIGNS
        self._spinner = _SPINNER if utf else _PLAIN_SPINNER
        self._above: list[Text] = []
        self._after_blank = False
        self._speaking: str | None = None

    # What stays.

    def event(self, event: Event, progress: Progress, call: Call | None) -> None:
        """Take what stays of an event; it is written with the next `tick`."""
        if progress.has_ended:
            self._end(progress)
            return
        before = len(self._above)
        self._take(event, call)
        if len(self._above) > before:
            self._above[before:before] = self._speaker(progress, told=event.event_type == "task_created")

    def _speaker(self, progress: Progress, *, told: bool = False) -> Sequence[Text]:
        """Return a line that says of which task of a session the next ones are, unless that is ``told``."""
        if not self._several or progress.task_id == self._speaking:
            return ()
        self._speaking = progress.task_id
        return () if told else (Text(f"{self._signs['task']} {one_line(progress.text, 60)}", "bold dim"),)

    def _take(self, event: Event, call: Call | None) -> None:
        data = event.data
        match event.event_type:
            case "task_created" if self._brief:
                self._add(Text(""))
            case "task_created":
                self._head(event)
            case "task_resumed":
                self.notice("The server was restarted: the task goes on.")
            case "think_complete" if data["content"] and data["tool_call_count"]:
                self._add(*self._said(harmless(data["content"]).strip()))
            case "tool_call_complete":
                self._add(*self._called(data, call))
            case "approval_requested":
                self._add(*self._question(event))
            case "approval_resolved":
                self._add(Text(f"    {decision(data, call)}", "dim"))
            case "error":
                text = one_line(data["error"], LONGEST_FACT)
                goes_on = " (trying again)" if data["recoverable"] else ""
                self._add(Text(f"  {self._signs['trouble']} {text}{goes_on}", "yellow"))
            case "context_compressed":
                self._add(Text(f"  conversation shortened to {data['compressed_count']} messages", "dim"))

    def notice(self, text: str) -> None:
        """Show something of the connection, or of the person who watches."""
        begin, then = (f"  {self._signs['trouble']} ", "yellow"), ("    ", "")
        for line in harmless(text).splitlines():
            self._add(*self._wrapped(Text(line, "yellow"), begin, then))
            begin = then

    def _add(self, *lines: Text) -> None:
        self._above += lines

    def _head(self, event: Event) -> None:
        text = harmless(event.data["task"][:LONGEST_HEAD]).strip()
        rows: list[Text] = []
        begin, then = (f"{self._signs['task']} ", "bold"), ("  ", "")
        for line in text.splitlines():
            rows += self._wrapped(Text(line, "bold"), then if rows else begin, then)
        more = len(rows) > MOST_ROWS_OF_HEAD or len(event.data["task"]) > LONGEST_HEAD
        self._add(Text(""), *rows[:MOST_ROWS_OF_HEAD], *([Text("  …", "bold")] if more else []))
        about = [one_line(event.session_id)]
        if self._known is not None and self._known.task_id == event.task_id:
            about += [
                one_line(name) for name in (self._known.agent_preset, self._known.tool_preset, self._known.model)
            ]
        self._add(Text(f"  {one_line(event.task_id)}", "dim"), Text("  " + " · ".join(about), "dim"), Text(""))

    def _said(self, text: str) -> Iterator[Text]:
        for line in text.splitlines():
            yield from self._wrapped(Text(line), (f"  {self._signs['says']} ", "dim"))

    def _wrapped(self, text: Text, begin: tuple[str, str], then: tuple[str, str] | None = None) -> Iterator[Text]:
        """Yield the rows that a text takes, each with what it begins with; ``then``: from the second on."""
        width = max(10, self._console.width - cell_len(begin[0]))
        for number, line in enumerate(text.wrap(self._console, width, overflow="fold")):
            line.rstrip()
            yield Text.assemble(begin if number == 0 or then is None else then, line)

    def _called(self, data: Mapping[str, Any], call: Call | None) -> Iterator[Text]:  # Any: JSON
        failed = data["error"] is not None
        sign, style = (self._signs["failed"], "red") if failed else (self._signs["done"], "green")
        took = f"  {duration(data['duration'] / 1000)}"
        outcome = one_line(data["error"] if failed else data["result"] or "", LONGEST_FACT)
        row = self._tool((f"  {sign} ", style), data["tool_name"], call, took)
        given = arguments(call.arguments) if call else ""
        if not outcome or (not failed and outcome in given):  # such as a thought
            yield row
            return
        told = Text(outcome, "red" if failed else "dim")
        if row.cell_len + 4 + told.cell_len < self._console.width:
            yield Text.assemble(row, ("  → " if self._signs is _SIGNS else "  = ", "dim"), told)
            return
        yield row
        told.truncate(self._console.width - 5, overflow="ellipsis")
        yield Text.assemble("    ", told)

    def _tool(self, begin: tuple[str, str], name: str, call: Call | None, took: str) -> Text:
        """Return a call on one row: its arguments have the room that is left."""
        name = one_line(name, 40)
        room = self._console.width - cell_len(begin[0] + name + took) - 4
        given = Text(arguments(call.arguments) if call else "")
        given.truncate(max(8, room), overflow="ellipsis")
        return Text.assemble(begin, (name, "bold"), "(", given, ")", (took, "dim"))

    def _question(self, event: Event) -> Iterator[Text]:
        data = event.data
        yield Text(f"  {self._signs['ask']} {one_line(data['tool_name'])} waits for your word:", "bold yellow")
        lines = list(_argument_lines(data["arguments"]))
        for line in lines[:MOST_LINES_OF_A_QUESTION]:
            yield from self._wrapped(Text(line), ("      ", ""))
        if len(lines) > MOST_LINES_OF_A_QUESTION:
            left = len(lines) - MOST_LINES_OF_A_QUESTION
            yield Text(
                f"      … and {left} more lines: alex watch {one_line(event.task_id)} --json", "bold yellow"
            )

    def _end(self, progress: Progress) -> None:
        self._add(*self._speaker(progress))
        self._flush(())
        if progress.answer is not None:
            if not self._after_blank:
                self._console.print()
            self._answers.show(progress.answer)
            self._console.print()
        sign, style = _STYLES[progress.status]
        self._add(
            Text.assemble((f"{self._signs[sign]} ", style), (summary(progress), style if sign != "done" else ""))
        )
        if progress.error and progress.status == "failed":
            self._add(Text(f"  {one_line(progress.error, 2000)}", "red"))
        self._flush(())

    # What changes.

    def tick(self, tasks: Tasks, asking: tuple[Progress, Call] | None) -> None:
        """Draw how things are."""
        room = max(1, self._console.height - 4)  # a line of what was before is to be seen
        active = [each for each in tasks.by_id.values() if not self._several or each.status == "running"]
        below: list[Text] = []
        for progress in active[:MOST_TASKS]:
            below += self._work(progress)
            below.append(self._status(progress, tasks))
        if len(active) > MOST_TASKS:
            below.append(Text(f"  and {len(active) - MOST_TASKS} more", "dim"))
        if asking is not None:
            below.append(self._asking(*asking))
        elif self._several and not active:
            below.append(Text(f"{self._turning()} waiting for tasks · Ctrl-C ends", "dim"))
        speaking = [each for each in active if each.streaming]
        lines = self._stream(speaking[0], room - len(below)) if speaking else []
        self._flush([*lines, *below[-room:]])

    def _flush(self, below: Sequence[Text]) -> None:
        above, self._above = self._above, []
        self._after_blank = not above[-1].plain if above else self._after_blank
        with self._console.capture() as captured:
            for text in above:
                self._console.print(text, overflow="fold")
        self._bottom.draw(below, captured.get())

    def _turning(self) -> str:
        return self._spinner[int(self._monotonic() * 10) % len(self._spinner)]

    def _stream(self, progress: Progress, rows: int) -> list[Text]:
        """Return the end of what the model is saying, as far as there is room."""
        width = max(10, self._console.width - 6)
        end = harmless(progress.streaming[-width * max(1, rows) :]).expandtabs(4)
        wrapped = Text(end).wrap(self._console, width, overflow="fold")
        lines = list(wrapped)[-rows:] if rows > 0 else []
        return [Text.assemble((f"  {self._signs['says']} ", "cyan"), line) for line in lines]

    def _work(self, progress: Progress) -> Iterator[Text]:
        now = self._now()
        for call in list(progress.running.values())[-MOST_TASKS:]:
            took = f"  {duration(max(0.0, (now - call.since).total_seconds()))}"
            yield self._tool((f"  {self._turning()} ", "cyan"), call.tool, call, took)
            printed = call.output.strip().splitlines()
            if printed:
                yield Text(f"    {one_line(printed[-1], 200)}", "dim")
        if not self._several and any(call.tool == HANDS_ON for call in progress.running.values()):
            session = harmless(watch_command("watch", "--session", progress.session_id))
            yield Text("    What its sub-agents do and ask:", "dim")
            yield Text(f"    {session}", "dim")

    def _status(self, progress: Progress, tasks: Tasks) -> Text:
        limit = f"/{progress.most_iterations}" if progress.most_iterations else ""
        seconds = progress.seconds(self._now())
        told = [
            f"iteration {progress.iteration}{limit}",
            *figures(progress)[1:],
            duration(float(int(seconds)) or seconds),
        ]
        doing = progress.doing
        if tasks.away:
            doing = "the server is away"
        elif tasks.cancelling:
            doing = "cancelling"
        elif progress.waiting:
            told_now = progress.waiting[0].saying is not None
            doing = "waiting for the server" if told_now else "waiting for your word"
        if progress.status == "pending":
            told = []
        name = f"{one_line(progress.text, 30)}: " if self._several else ""
        return Text.assemble(
            (f"{self._turning()} ", "cyan"), name, (doing, "bold"),
            (" · ".join(["", *told, "Ctrl-C detaches"]), "dim"),
        )  # fmt: skip

    def _asking(self, progress: Progress, call: Call) -> Text:
        others = len(progress.waiting) - 1
        more = f" ({others} more after it)" if others else ""
        whose = f"{one_line(progress.text, 30)}: " if self._several else ""
        asked = f"{self._signs['ask']} {whose}Run {one_line(call.tool, 30)}?"  # its keys must be seen
        if call.saying is not None:
            return Text(f"{asked} {'yes' if call.saying else 'no'}: telling the server{more}", "bold yellow")
        return Text(f"{asked} y: yes, n: no{more}", "bold yellow")

    def close(self) -> None:
        """Write what is left to write, and leave nothing that would change."""
        self._flush(())


def _argument_lines(given: Mapping[str, Any]) -> Iterator[str]:  # Any: JSON
    """Return a call's arguments in full, a line for each, and for each line of a text."""
    if not given:
        yield "(no arguments)"
    for name, value in given.items():
        text = value if isinstance(value, str) else arguments({"": value}, None)[1:]
        first, *others = harmless(text).splitlines() or [""]
        yield f"{one_line(name)}: {first}"
        yield from (f"    {line}" for line in others)
