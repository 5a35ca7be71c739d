"""What asyncio has to offer, on the simulation's event loop: on virtual time, and in one order."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import subprocess
import sys
import threading
from collections.abc import Awaitable, Iterator
from pathlib import Path

import pytest

from tests.simulation.loop_driver import LoopDriver, Odd, now, steps

HOUR = 3600.0


@pytest.fixture
def driver() -> Iterator[LoopDriver]:
    gc.freeze()  # a collection looks through what this test makes, and not through what the others left: 0.5 s
    driver = LoopDriver()
    yield driver
    driver.loop.close()
    gc.collect()  # what was left behind complains now, and filterwarnings makes that an error


# What asyncio has to offer.


def test_gather_returns_in_the_order_of_its_arguments(driver: LoopDriver) -> None:
    async def main() -> list[int]:
        return list(await asyncio.gather(asyncio.sleep(3, 1), asyncio.sleep(1, 2), asyncio.sleep(2, 3)))

    assert driver.run(main()) == [1, 2, 3]


def test_a_group_whose_task_fails_cancels_the_others(driver: LoopDriver) -> None:
    ended: list[str] = []

    async def sleeper(name: str) -> None:
        try:
            await asyncio.sleep(HOUR)
        except asyncio.CancelledError:
            ended.append(name)
            raise

    async def fail() -> None:
        await asyncio.sleep(1)
        raise LookupError

    async def main() -> float:
        with pytest.RaisesGroup(LookupError):
            async with asyncio.TaskGroup() as group:
                group.create_task(sleeper("a"))
                group.create_task(fail())
                group.create_task(sleeper("b"))
        return now()

    assert driver.run(main()) == 1
    assert ended == ["a", "b"]


def test_a_queue_hands_over_in_order_and_holds_back_who_puts(driver: LoopDriver) -> None:
    got: list[tuple[int, float]] = []

    async def produce(queue: asyncio.Queue[int]) -> None:
        for number in range(3):
            await queue.put(number)

    async def main() -> None:
        queue: asyncio.Queue[int] = asyncio.Queue(1)
        producing = asyncio.create_task(produce(queue))
        for _ in range(3):
            await asyncio.sleep(1)
            got.append((await queue.get(), now()))
        await producing

    driver.run(main())

    assert got == [(0, 1), (1, 2), (2, 3)]


def test_an_event_wakes_all_and_a_lock_lets_in_one_by_one(driver: LoopDriver) -> None:
    entered: list[tuple[str, float]] = []

    async def worker(name: str, event: asyncio.Event, lock: asyncio.Lock) -> None:
        await event.wait()
        async with lock:
            entered.append((name, now()))
            await asyncio.sleep(1)

    async def main() -> None:
        event, lock = asyncio.Event(), asyncio.Lock()
        asyncio.get_running_loop().call_later(5, event.set)
        await asyncio.gather(*(worker(name, event, lock) for name in "abc"))

    driver.run(main())

    assert entered == [("a", 5), ("b", 6), ("c", 7)]


def test_what_is_shielded_goes_on_when_who_awaits_it_is_cancelled(driver: LoopDriver) -> None:
    async def main() -> tuple[str, float]:
        inner = asyncio.create_task(asyncio.sleep(5, "done"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await asyncio.shield(inner)
        return await inner, now()

    assert driver.run(main()) == ("done", 5)


def test_a_cancel_interrupts_and_its_timer_is_gone(driver: LoopDriver) -> None:
    async def main() -> list[float]:
        task = asyncio.create_task(asyncio.sleep(HOUR))
        await asyncio.sleep(0)
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError):
            await task
        return driver.due

    assert driver.run(main()) == []


def test_context_variables_are_a_tasks_own(driver: LoopDriver) -> None:
    variable = contextvars.ContextVar("variable", default="none")

    async def child() -> str:
        before = variable.get()
        variable.set("child's")
        await asyncio.sleep(1)
        return f"{before}, {variable.get()}"

    async def main() -> list[str]:
        variable.set("parent's")
        return [await asyncio.create_task(child()), await asyncio.to_thread(variable.get), variable.get()]

    assert driver.run(main()) == ["parent's, child's", "parent's", "parent's"]


def test_tasks_are_numbered_by_loop(driver: LoopDriver) -> None:
    async def main() -> list[str]:
        tasks = [asyncio.create_task(asyncio.sleep(0), name=name) for name in (None, "mine", None)]
        await asyncio.wait(tasks)
        return [task.get_name() for task in tasks]

    assert driver.run(main()) == ["Task-2", "mine", "Task-4"]


def test_a_task_factory_is_used_and_its_tasks_are_named_too(driver: LoopDriver) -> None:
    made: list[object] = []

    def factory(loop: asyncio.AbstractEventLoop, coro: Awaitable[None], **_options: object) -> object:
        made.append(coro)
        return asyncio.Task(coro, loop=loop)  # type: ignore[arg-type] # any coroutine

    driver.loop.set_task_factory(factory)
    main = asyncio.sleep(1)
    task = driver.loop.create_task(main)

    driver.settle()

    assert driver.loop.get_task_factory() is factory
    assert made == [main]
    assert (task.done(), task.get_name()) == (True, "Task-1")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
def test_eager_tasks_begin_at_once(driver: LoopDriver) -> None:
    seen: list[str] = []

    async def child() -> str:
        task = asyncio.current_task()
        seen.append(f"child of {task.get_name() if task else None}")
        await asyncio.sleep(1)
        return "done"

    async def main() -> str:
        task = asyncio.create_task(child(), name="eager")
        seen.append("main")
        return await task

    driver.loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore] # 3.12

    assert driver.run(main()) == "done"
    assert [line.split()[0] for line in seen] == ["child", "main"]
    assert driver.clock.seconds == 1


# Threads.


def test_to_thread_calls_the_function_later_and_in_this_thread(driver: LoopDriver) -> None:
    seen: list[object] = []

    def work(number: int, *, plus: int) -> int:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        seen.append(threading.current_thread())
        return number + plus

    async def main() -> int:
        working = asyncio.create_task(asyncio.to_thread(work, 1, plus=2))
        await asyncio.sleep(0)
        seen.append("not yet")
        return await working

    assert driver.run(main()) == 3
    assert seen == ["not yet", threading.main_thread()]


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), Odd(), asyncio.CancelledError()])
def test_what_the_function_raises_is_for_who_awaits_it(driver: LoopDriver, error: BaseException) -> None:
    def work() -> None:
        raise error

    async def main() -> BaseException | None:
        try:
            await asyncio.to_thread(work)
        except BaseException as raised:  # noqa: BLE001 - whatever it is
            return raised
        return None

    assert driver.run(main()) is error
    assert driver.errors == []


def test_a_function_whose_future_is_cancelled_before_is_not_called(driver: LoopDriver) -> None:
    called: list[int] = []

    async def main() -> None:
        asyncio.get_running_loop().run_in_executor(None, called.append, 1).cancel()

    driver.run(main())

    assert called == []


def test_a_program_that_is_at_its_end_shuts_its_threads_down(driver: LoopDriver) -> None:
    async def main() -> str:
        await asyncio.get_running_loop().shutdown_default_executor()
        return "done"

    assert driver.run(main()) == "done"


# Asynchronous generators.


def test_a_generator_is_closed_when_who_reads_it_is_cancelled(driver: LoopDriver) -> None:
    notes: list[str] = []

    async def read() -> None:
        async for number in steps(notes):
            notes.append(str(number))  # noqa: PERF401 - what is read before the cancel counts

    async def main() -> None:
        reading = asyncio.create_task(read())
        await asyncio.sleep(2.5)
        reading.cancel()
        await asyncio.wait([reading])

    driver.run(main())

    assert notes == ["0", "1", "closed"]


def test_a_generator_that_is_dropped_is_closed(driver: LoopDriver) -> None:
    notes: list[str] = []

    async def main() -> None:
        generator = steps(notes)
        await anext(generator)

    driver.run(main())

    assert notes == ["closed"]


def test_generators_that_are_open_at_the_end_are_closed_in_the_order_of_their_start(driver: LoopDriver) -> None:
    notes: list[list[str]] = [[], []]
    generators = [steps(note) for note in notes]

    async def main() -> None:
        for generator in reversed(generators):
            await anext(generator)
        await asyncio.get_running_loop().shutdown_asyncgens()

    driver.run(main())

    assert notes == [["closed"], ["closed"]]


# The order.


async def busy_program(notes: list[str]) -> None:
    """Use much of what asyncio keeps in sets, and note who goes on."""
    queue: asyncio.Queue[str] = asyncio.Queue(2)

    async def worker(name: str, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds * 2):
                await asyncio.sleep(seconds)
                await queue.put(name)
                await asyncio.to_thread(notes.append, f"{name} in a thread")
                await asyncio.sleep(100)
        finally:
            notes.append(f"{name} ends at {now()}")

    try:
        async with asyncio.TaskGroup() as group:
            for number in range(40):
                group.create_task(worker(f"worker {number}", number % 7 + 1))
            notes.extend([await queue.get() for _ in range(20)])
            raise LookupError
    except ExceptionGroup:
        notes.append("over")
    tasks = {asyncio.ensure_future(asyncio.sleep(1, f"sleep {number}")) for number in range(40)}
    done, _ = await asyncio.wait(tasks)
    notes.extend(task.result() for task in done)


def test_the_tasks_of_a_group_are_cancelled_in_the_order_of_their_start(driver: LoopDriver) -> None:
    ended: list[int] = []
    padding: list[object] = []

    async def sleeper(number: int) -> None:
        try:
            await asyncio.sleep(HOUR)
        finally:
            ended.append(number)

    async def main() -> None:
        with pytest.RaisesGroup(LookupError):
            async with asyncio.TaskGroup() as group:
                for number in range(40):
                    padding.append(bytearray(number * 37 % 400))  # so that addresses are in no order
                    group.create_task(sleeper(number))
                await asyncio.sleep(1)
                raise LookupError

    driver.run(main())

    assert ended == list(range(40))


def program() -> str:
    driver = LoopDriver()
    notes: list[str] = []
    driver.run(busy_program(notes))
    return "\n".join([*notes, f"{driver.steps} steps, {driver.clock.seconds} seconds, {driver.errors}"])


def test_the_same_program_does_the_same_in_another_process() -> None:
    root = Path(__file__).parents[2]
    path = os.pathsep.join([str(root), *sys.path])
    code = "from tests.simulation.test_asyncio_in_simulation import program; print(program())"

    there = [
        subprocess.run(
            [sys.executable, "-c", f"padding = [bytearray(i * 31 % 512) for i in range({padding})]; {code}"],
            cwd=root,
            env=os.environ | {"PYTHONHASHSEED": str(padding), "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        ).stdout
        for padding in (1, 5000)
    ]

    assert there[0] == there[1]
    assert there[0].rstrip("\n") == program()
    assert "worker 39 ends" in there[0]
