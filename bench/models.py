"""What the runtime adds to calls of a model: ours beside OpenAI's own SDK, and a thousand of them at once.

    python -m bench.models [--tasks 1000] [--calls 400] [--rounds 3] [--quick]

The model is npm's aimock (tests/peers), a process of its own on the same machine, which says 20 words, one each
200 ms. It tells how long each call took at its side. What a caller's time has more than that is the caller's own:
for ours from the event ``thinking`` to ``think_complete``, which includes the commit of all that came before the
call; for the SDK, which makes the very calls that ours made, from before each to the end of its stream. Both are
in milliseconds; ``core`` is the share of one core that the model server was busy. Last, how long after the
request for a cancel, before a model's first word, its connection was closed, by that server's clock, which is
this machine's.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from bench.bare_sdk import WARM_UP, Job, Report
from bench.load import Connection, generate, get, percentile, post
from bench.machine import Noise, Usage
from bench.servers import ServerProcess, alex
from bench.submit import completed
from tests.live.model_server import KEY, Call, ModelServer, answers

WORDS = 20
CHUNKS = WORDS + 2
"""Pieces of a reply: the words, and before and after them one that says that it begins, and that it ends."""
AIM = 2.0
"""Milliseconds that the runtime may add to half of the calls, with 100 of them under way."""
HEADER = (
    f"{'':10}{'calls':>7}{'at once':>9}{'wall':>8}{'p50 ms':>9}{'p95 ms':>9}{'CPU ms/call':>13}"
    f"{'MiB':>8}{'threads':>9}{'core':>7}"
)


@dataclass
class Figures:
    """What was measured of one contestant, over all rounds."""

    name: str
    added: list[float] = field(default_factory=list)
    """Milliseconds of each call that the model server did not take."""
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    """Seconds of CPU of a round."""
    busy: list[float] = field(default_factory=list)
    """The share of a core that the model server took in a round."""
    memory: int = 0
    """Bytes, at most."""
    threads: int = 0

    def line(self, at_once: float) -> str:
        """Return a line of the table."""
        return (
            f"{self.name:10}{len(self.added):7,}{at_once:9,.0f}{statistics.median(self.wall):7.1f}s"
            f"{percentile(self.added, 50):9.2f}{percentile(self.added, 95):9.2f}"
            f"{1000 * sum(self.cpu) / len(self.added):13.2f}{self.memory / 2**20:8.0f}{self.threads:9}"
            f"{max(self.busy):7.0%}"
        )


@dataclass(frozen=True)
class Load:
    """Calls, one each ``every`` seconds (0: all at once); the model takes ``pause`` seconds for each piece."""

    calls: int
    every: float
    pause: float

    @property
    def ideal(self) -> float:
        """Seconds from the first call to the end of the last, if nobody took any time but the model."""
        return (self.calls - 1) * self.every + CHUNKS * self.pause

    @property
    def at_once(self) -> float:
        """How many are under way."""
        return min(self.calls, CHUNKS * self.pause / self.every) if self.every else self.calls


def main() -> None:
    """Run the bench and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=1000, help="calls at once")
    parser.add_argument("--calls", type=int, default=400, help="calls of which 100 are under way")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="see that it works, within seconds")
    options = parser.parse_args()
    if options.quick:
        compare(Load(20, 0.01, 0.01), rounds=1)
        compare(Load(20, 0.0, 0.01), rounds=1)
        cancels(3)
        return
    pause = 0.2
    compare(Load(options.calls, CHUNKS * pause / 100, pause), rounds=options.rounds)
    compare(Load(options.tasks, 0.0, pause), rounds=1)
    cancels(50)


def compare(load: Load, *, rounds: int) -> tuple[Figures, Figures]:
    """Load both in turns, and print. Returns the SDK's figures and ours."""
    noise = Noise()
    sdk, ours = Figures("bare SDK"), Figures("alex")
    with tempfile.TemporaryDirectory(prefix="alex-bench-") as directory, ModelServer(Path(directory)) as model:
        words = "".join(f"w{number:02d} " for number in range(WORDS))
        pace = {"ttft": 1000 * load.pause, "tps": 1 / load.pause}
        model.script(answers("Say it", {"content": words}, chunkSize=4, streamingProfile=pace))
        with alex(model__name="mock", model__base_url=model.openai_url, model__api_key=KEY) as server:
            example = _warm_up(server, model)
            at_rest = Usage.of(server.process.pid).memory
            for number in range(rounds):
                _measure_sdk(sdk, model, example, load, f"sdk-{number}")
                _measure_alex(ours, model, server, load, f"alex-{number}")
            wrong = server.errors()
    print(
        f"\n{load.calls} calls, {f'one each {1000 * load.every:.0f} ms' if load.every else 'all at once'}, ",
        end="",
    )
    print(f"{1000 * load.pause:.0f} ms a word, {rounds} rounds; ideally {load.ideal:.1f} s")
    print(HEADER, sdk.line(load.at_once), ours.line(load.at_once), sep="\n")
    print(f"alex takes {(ours.memory - at_rest) / load.at_once / 1024:.0f} KiB a call over ", end="")
    print(f"{at_rest / 2**20:.0f} MiB at rest")
    print(summary(load, sdk, ours))
    print(noise, *wrong, sep="\n")
    return sdk, ours


def summary(load: Load, sdk: Figures, ours: Figures) -> str:
    """Return how ours differs from the SDK."""
    if load.every:
        half, most = (percentile(ours.added, each) - percentile(sdk.added, each) for each in (50, 95))
        return f"the runtime adds {half:.2f} ms at p50 (aim: under {AIM:g} at 100 at once), {most:.2f} ms at p95"
    times = [statistics.median(each.wall) / load.ideal for each in (ours, sdk)]
    return f"all ended after {times[0]:.2f} times the ideal; with the bare SDK after {times[1]:.2f} times"


def cancels(count: int) -> list[float]:
    """Cancel tasks one by one before their model's first word, and print. Returns milliseconds."""
    took = []
    with tempfile.TemporaryDirectory(prefix="alex-bench-") as directory, ModelServer(Path(directory)) as model:
        model.script(answers("Hush", {"content": "Well."}, streamingProfile={"ttft": 60_000}))
        with alex(model__name="mock", model__base_url=model.openai_url, model__api_key=KEY) as server:
            for number in range(count):
                text = f"Hush, {number:06d}."
                (task,) = _submit(server, [text], every=0.0)
                model.asked_at_least(1, text)
                request, started = post(f"/api/tasks/{task['task_id']}/cancel", b""), time.time()
                generate(server.address, iter([request]), connections=1, status=b"200")
                closed = model.closed(text).closed
                took.append(1000 * ((closed or math.inf) - started))
    print(f"\n{count} cancels before the first word: the connection to the model closed after ", end="")
    print(f"{percentile(took, 50):.1f} ms at p50, {max(took):.1f} ms at most (aim: 100)")
    return took


def _warm_up(server: ServerProcess, model: ModelServer) -> Mapping[str, Any]:  # Any: JSON
    """Have the server make some calls, and return the body of one."""
    _submit(server, ["Say it, warm-up."] * WARM_UP, every=0.0)
    _wait(server, WARM_UP)
    call, *_ = model.asked("warm-up")
    return {name: value for name, value in call.body.items() if not name.startswith("_")}  # aimock's own notes


def _measure_sdk(figures: Figures, model: ModelServer, example: Mapping[str, Any], load: Load, name: str) -> None:
    """Make the calls of a round with the bare SDK. ``example`` is the body of one: JSON."""
    bodies = [json.loads(json.dumps(example).replace("warm-up", text)) for text in _names(name, load)]
    job = Job(model.openai_url, KEY, load.every, dict(example), bodies)
    before, started = Usage.of(model.process.pid).cpu, time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "bench.bare_sdk"], input=msgspec.json.encode(job), capture_output=True, check=True
    )
    report = msgspec.json.decode(done.stdout, type=Report)
    took = dict(zip(_names(name, load), report.seconds, strict=True))
    figures.wall.append(report.wall)
    figures.busy.append((Usage.of(model.process.pid).cpu - before) / (time.perf_counter() - started))
    figures.cpu.append(report.cpu)
    figures.memory = max(figures.memory, report.memory)
    figures.threads = max(figures.threads, report.threads)
    _took(figures, model, name, took)


def _measure_alex(figures: Figures, model: ModelServer, server: ServerProcess, load: Load, name: str) -> None:
    """Have the server do the tasks of a round, one call each."""
    pid, ended = server.process.pid, completed(server)
    before, cpu, started = Usage.of(model.process.pid).cpu, Usage.of(pid).cpu, time.perf_counter()
    tasks = _submit(server, [f"Say it, {text}." for text in _names(name, load)], every=load.every)
    most = _wait(server, ended + load.calls)
    wall = time.perf_counter() - started
    figures.wall.append(wall)
    figures.busy.append((Usage.of(model.process.pid).cpu - before) / wall)
    figures.cpu.append(Usage.of(pid).cpu - cpu)
    figures.memory = max(figures.memory, most.memory)
    figures.threads = max(figures.threads, most.threads)
    thought = [_thinking(_asked(server, f"/api/tasks/{task['task_id']}/events")["events"]) for task in tasks]
    texts = [re.sub(r"Say it, (.*)\.", r"\1", task["task"]) for task in tasks]
    _took(figures, model, name, dict(zip(texts, thought, strict=True)))


def _names(name: str, load: Load) -> list[str]:
    """Return a name for each call, of which none is a part of another."""
    return [f"{name}-{number:06d}" for number in range(load.calls)]


def _submit(server: ServerProcess, texts: Sequence[str], *, every: float) -> list[dict[str, Any]]:  # Any: JSON
    """Submit tasks, one each ``every`` seconds, or as fast as it goes; return them as they were recorded."""
    requests = [post("/api/tasks", json.dumps({"task": text}).encode()) for text in texts]
    if not every:
        connections = min(64, len(requests))
        bodies = generate(server.address, iter(requests), connections=connections, status=b"201").bodies
        return [json.loads(body) for body in bodies]
    connection, start = Connection(*server.address), time.perf_counter()
    tasks = []
    for number, request in enumerate(requests):
        time.sleep(max(0.0, start + number * every - time.perf_counter()))  # until it is due
        connection.send(request)
        while (reply := connection.receive(status=b"201")) is None:
            pass
        tasks.append(json.loads(reply[1]))
    connection.socket.close()
    return tasks


def _wait(server: ServerProcess, count: int) -> Usage:
    """Wait until so many tasks are completed; return the look at which the server took most memory.

    Raises RuntimeError if one has failed.
    """
    looks = [Usage.of(server.process.pid)]
    while completed(server) < count:
        if failed := _asked(server, "/api/tasks?status=failed&limit=1")["tasks"]:
            msg = f"a task failed: {failed[0]['error']}"
            raise RuntimeError(msg)
        looks.append(Usage.of(server.process.pid))
        time.sleep(0.2)  # looking takes time from the server that is looked at
    return max(looks, key=lambda look: look.memory)


def _asked(server: ServerProcess, path: str) -> Any:  # Any: JSON
    (body,) = generate(server.address, iter([get(path)]), connections=1, status=b"200").bodies
    return json.loads(body)


def _thinking(events: Sequence[Mapping[str, str]]) -> float:
    """Return the seconds from ``thinking`` to ``think_complete``. Raises KeyError if one is missing."""
    at = {event["event_type"]: datetime.fromisoformat(event["timestamp"]) for event in events}
    return (at["think_complete"] - at["thinking"]).total_seconds()


def _took(figures: Figures, model: ModelServer, name: str, took: Mapping[str, float]) -> None:
    """Take down what calls took: seconds, by their names."""
    figures.added += added(model.asked(name), took)
    model.forget()


def added(calls: Sequence[Call], took: Mapping[str, float]) -> list[float]:
    """Return the milliseconds of each call that the model server did not take.

    ``took`` has the seconds that its caller says it took, by its name, which is in its body. Raises ValueError if
    a call was not made once, or not answered to its end.
    """
    names = [re.findall(r"\w+-\d+-\d{6}", json.dumps(call.body))[0] for call in calls]
    if sorted(names) != sorted(took):
        msg = f"{len(took)} calls were to be made once, and {len(names)} were"
        raise ValueError(msg)
    if broken := [name for name, call in zip(names, calls, strict=True) if call.closed is None or not call.whole]:
        msg = f"not answered to the end: {', '.join(broken)}"
        raise ValueError(msg)
    return [
        1000 * (took[name] - ((call.closed or 0.0) - call.came)) for name, call in zip(names, calls, strict=True)
    ]


if __name__ == "__main__":
    main()
