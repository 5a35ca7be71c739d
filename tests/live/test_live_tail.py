"""``alex tail`` on real files that grow and are rotated meanwhile, by another process and by a server."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

from alex_actors.logs.reading import log_files, parse, read_lines
from tests.live.client import Client
from tests.live.conftest import Start
from tests.live.process import SOON, STARTED, ended, until

ALEX = [sys.executable, "-c", "from alex_http.command_line import main; main()"]

WRITER = """
import pathlib, sys, threading
from alex_actors.logs.file_writer import FileWriter
from alex_actors.logs.rotation import LogFile, Rotation

path = pathlib.Path(sys.argv[1])
rotation = Rotation(path, max_bytes=20_000, keep_files=1000)
writer = FileWriter(LogFile(path), lost_line=lambda count: b"lost", successor=rotation)

def work(name):
    for number in range(4000):
        writer.write(f'{{"event":"{name}","number":{number}}}\\n'.encode())

threads = [threading.Thread(target=work, args=(f"thread-{name}",)) for name in range(3)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
writer.close(timeout=1)
"""


def test_a_log_is_followed_while_a_process_writes_and_rotates_it(tmp_path: Path) -> None:
    log, told = tmp_path / "alex.jsonl", tmp_path / "told"
    log.write_text('{"event":"first"}\n')
    with (
        told.open("wb") as output,
        ended(subprocess.Popen([*ALEX, "tail", "-f", "--json", "-n", "99999", str(log)], stdout=output)) as tail,
    ):
        until(lambda: told.stat().st_size, "the first line")

        subprocess.run([sys.executable, "-c", WRITER, str(log)], check=True, timeout=STARTED)
        until(lambda: told.read_bytes().count(b"\n") > 12_000, "all lines")
        tail.send_signal(signal.SIGINT)

        assert tail.wait(timeout=SOON) == 130
    lines = [line for each in told.read_bytes().splitlines() if (line := parse(each))]
    numbers = {f"thread-{name}": list(range(4000)) for name in range(3)}
    assert {
        name: [line["number"] for line in lines if line["event"] == name] for name in numbers
    } == numbers  # each once, and in order
    assert len(log_files(log)) > 1


def test_who_reads_no_more_ends_the_tail_without_a_word(tmp_path: Path) -> None:
    log = tmp_path / "alex.jsonl"
    log.write_text("garbage\n")
    with ended(
        subprocess.Popen([*ALEX, "tail", "-f", str(log)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    ) as tail:
        assert tail.stdout is not None
        assert tail.stderr is not None

        assert tail.stdout.readline() == b"garbage\n"
        tail.stdout.close()  # nothing more is written to it: that the reader is gone is noticed all the same

        assert tail.wait(timeout=SOON) == 0
        assert tail.stderr.read() == b""


def test_if_no_line_fits_that_is_said_and_half_an_end_of_an_id_is_refused(tmp_path: Path) -> None:
    log = tmp_path / "alex.jsonl"
    log.write_text('{"event":"a"}\n')

    none, short = (
        subprocess.run([*ALEX, "tail", *options, str(log)], capture_output=True, timeout=STARTED, check=False)
        for options in (["--event", "b"], ["--task", "zz"])
    )

    assert (none.returncode, none.stdout, none.stderr) == (0, b"", b"alex: no line of the log fits.\n")
    assert (short.returncode, short.stdout) == (2, b"")
    assert b"at least 4 characters" in short.stderr


def test_a_full_disk_behind_its_output_is_not_taken_for_a_log_that_cannot_be_read(tmp_path: Path) -> None:
    log = tmp_path / "alex.jsonl"
    log.write_text("garbage\n")

    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*ALEX, "tail", str(log)], stdout=full, stderr=subprocess.PIPE, timeout=STARTED, check=False
        )

    assert done.returncode not in (0, 1, 2)
    assert done.stderr == b"alex: The output cannot be written (No space left on device).\n"


def test_a_terminal_gets_lines_that_fit_and_nothing_that_steers_it(tmp_path: Path) -> None:
    log = tmp_path / "alex.jsonl"
    entry = {"ts": "2026-11-22T20:00:00.000000Z", "level": "info", "event": "a", "b": "\x1b[2J" + "x" * 500}
    log.write_bytes(json.dumps(entry).encode() + b"\n\x1b]0;title\x07\n")
    master, slave = pty.openpty()
    environment = {**os.environ, "COLUMNS": "80", "TERM": "xterm"}
    environment.pop("NO_COLOR", None)

    for options in ([], ["--json"]):
        tail = [*ALEX, "tail", "--utc", *options, str(log)]
        subprocess.run(tail, stdout=slave, env=environment, check=True, timeout=STARTED)
    os.close(slave)
    text = b""
    while b"title" not in text.partition(b"title")[2]:
        text += os.read(master, 65536)
    os.close(master)

    assert b"\x1b[32m" in text
    assert b"\x1b[2J" not in text
    assert b"\x1b]" not in text
    assert b"'\\x1b[2Jxxx" in text


def test_a_server_rotates_its_log_and_no_line_of_a_task_is_missing(start: Start, tmp_path: Path) -> None:
    server = start(settings={"LOG__MAX_FILE_BYTES": "4000", "LOG__KEEP_FILES": "100"})
    with Client(server.url) as client:
        tasks = [client.submit("Echo hello")["task_id"] for _ in range(20)]
        for task in tasks:
            client.ended(task)
    server.stop()

    log = server.data_dir / "logs" / "alex.jsonl"
    shown = subprocess.run(
        [*ALEX, "tail", "--data-dir", str(server.data_dir), "--event", "task.ended", "-n", "99"],
        cwd=tmp_path, capture_output=True, text=True, check=True, timeout=STARTED,
    )  # fmt: skip

    lines = [parse(line) for line in read_lines(log)]
    ended = Counter(line["task_id"] for line in lines if line and line["event"] == "task.ended")
    assert ended == Counter(tasks)
    assert all(any(task in each for each in shown.stdout.splitlines()) for task in tasks)
    assert len(log_files(log)) > 3
