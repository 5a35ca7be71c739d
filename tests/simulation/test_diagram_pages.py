"""Runs as sequence diagrams for a browser: Mermaid, and a page of HTML."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import get_args

from alex_actors.diagrams.mermaid import mermaid
from alex_actors.diagrams.page import html
from alex_actors.diagrams.terminal import diagram_lines
from alex_actors.diagrams.trace import Kind, Trace
from tests.simulation.drawn_runs import Say, Settle, example, handle, send

MERMAID = """\
sequenceDiagram
    participant p0 as alice
    participant p1 as SessionActor
    participant p2 as AgentActor(task-1)
    participant p3 as TaskStoreActor
    participant p4 as Timers
    p0->>p1: 2. Confirm(task_id='task-1', strategy='enqueue')
    Note over p1: 2. session.confirmed session_id='s1'
    p1-->>p0: 2. Confirmed(session_id='s1', place=1)
    Note over p2: 3. (1) sent to SessionActor#58; TaskEnded(task_id='task-1', …)
    Note over p2: 3. stopped
    p0->>p3: 5. Create(task_id='task-1', session_id='s1')
    Note over p3: 5. CRASHED#58; ValueError#58; disk full
    Note over p3: 5. restarted
    Note over p0,p4: at 250 ms
    p4->>p1: 7. Settle(task_id='task-1')
    p1-xp2: 7. never handled#58; Settle(task_id='task-1')
    p2->>p1: 8. (1) TaskEnded(task_id='task-1', status='completed')
    Note over p0,p4: at 1 min 5 s
    p3--xp0: 9. gave up on Create(task_id='task-1', session_id='s1')
    Note over p0,p4: ✖ FAILED in step 9, at 1 min 5 s<br/>A task has one terminal event. \
task-1 has none, and its agent is gone.
"""


def test_a_run_is_written_in_mermaid_as_it_was_before() -> None:
    assert mermaid(example()) == MERMAID


def test_an_empty_run_is_a_diagram_too() -> None:
    assert mermaid(Trace()).startswith("sequenceDiagram\n")
    assert "<svg" in html(Trace(), title="Nothing", notes=[])


def test_an_entry_of_any_kind_is_drawn_even_without_the_other_side() -> None:
    for kind in get_args(Kind):
        trace = Trace()
        trace.add("handled", "a", "hello")
        trace.add(kind, "a", "this")

        assert "this" in diagram_lines(trace), kind
        assert "this" in mermaid(trace), kind
        assert "this" in html(trace, title="One", notes=[]), kind


def test_mermaid_takes_any_text_as_text() -> None:
    trace = Trace()
    handle(trace, send(trace, "a;b\nend", Settle("#1; %%{x}%% <b> end: -->>"), "B"))

    lines = mermaid(trace).splitlines()

    assert lines[1] == "    participant p0 as a#59;b #101;nd"
    assert lines[3] == (
        "    p0->>p1: 0. Settle(task_id='#35;1#59; #37;#37;#123;x#125;#37;#37; #60;b#62; #101;nd#58; --#62;#62;')"
    )


def test_a_page_needs_nothing_from_elsewhere_and_takes_any_text_as_text() -> None:
    trace = example()
    send(trace, "<script>alert(1)</script>", Settle('"><img src=x>&'), "B")

    page = Page(html(trace, title="<i>", notes=["a & b", "</style><script>"]))

    assert not page.tags & {"script", "link", "img", "i", "iframe", "use", "image", "foreignobject"}
    assert not page.attributes & {"src", "href", "xlink:href", "onload"}
    assert {"<i>", "a & b", "</style><script>"} <= set(page.texts)


def test_a_page_says_all_of_a_message_where_the_mouse_rests_on_its_arrow() -> None:
    trace = Trace()
    handle(trace, send(trace, "alice", Say("x" * 50, 12345, "reply-" + "y" * 40), "B"))

    page = Page(html(trace, title="Long", notes=[]))

    assert (
        f"step 0, 0 s, alice -> B: Say(text='{'x' * 50}', count=12345, reply_id='reply-{'y' * 40}')" in page.texts
    )


def test_a_label_that_would_leave_the_picture_stands_left_of_its_mark() -> None:
    trace = Trace()
    for name in ("a", "b", "c", "d"):
        trace.add("logged", name, "a fact of forty-five letters and a few more..")

    page = html(trace, title="Facts", notes=[])

    assert [
        line.split('text-anchor="')[1][:3] for line in page.splitlines() if ">a fact" in line and "<text" in line
    ] == [
        "sta",
        "sta",
        "sta",
        "end",
    ]


def test_a_page_ends_with_the_failure() -> None:
    page = Page(html(example(), title="Failed", notes=[]))

    assert page.texts[-2:] == [
        "Failed in step 9, at 1 min 5 s",
        "A task has one terminal event.\ntask-1 has none, and its agent is gone.",
    ]


class Page(HTMLParser):
    """What a browser makes of a page: its tags, attributes and texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(data)
