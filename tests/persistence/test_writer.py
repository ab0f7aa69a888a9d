import asyncio
import threading
from collections.abc import Iterator
from functools import partial

import pytest
from structlog.testing import capture_logs

from risk_manager.persistence.writer import Writer


@pytest.fixture
def writer() -> Iterator[Writer]:
    made = Writer()
    yield made
    made.stop()


async def test_carries_out_calls_in_their_order_on_a_thread_of_its_own(writer: Writer) -> None:
    seen: list[int] = []
    threads: set[int] = set()

    def work(number: int) -> int:
        seen.append(number)
        threads.add(threading.get_ident())
        return -number

    answers = await asyncio.gather(*(writer.run(partial(work, number)) for number in range(50)))
    assert seen == list(range(50))
    assert answers == [-number for number in range(50)]
    assert threads
    assert threading.get_ident() not in threads


async def test_lets_every_other_call_go_before_those_that_give_way(writer: Writer) -> None:
    gate = threading.Event()
    seen: list[str] = []

    def call(name: str, *, gives_way: bool = False) -> asyncio.Task[None]:
        return asyncio.create_task(writer.run(partial(seen.append, name), gives_way=gives_way))

    busy = asyncio.create_task(writer.run(lambda: gate.wait(5)))
    calls = [call("read 1", gives_way=True), call("first"), call("read 2", gives_way=True), call("second")]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(busy, *calls)
    assert seen == ["first", "second", "read 1", "read 2"]


async def test_ends_after_all_calls_made_so_far() -> None:
    writer, gate = Writer(), threading.Event()
    seen: list[str] = []
    busy = asyncio.create_task(writer.run(lambda: gate.wait(5)))
    calls = [
        asyncio.create_task(writer.run(partial(seen.append, "gives way"), gives_way=True)),
        asyncio.create_task(writer.run(partial(seen.append, "does not"))),
    ]
    await asyncio.sleep(0)
    writer.stop()
    gate.set()
    await asyncio.gather(busy, *calls)
    assert seen == ["does not", "gives way"]


async def test_raises_what_the_work_raised(writer: Writer) -> None:
    def fail() -> None:
        raise ZeroDivisionError("of the work")

    with pytest.raises(ZeroDivisionError, match="of the work"):
        await writer.run(fail)
    assert await writer.run(lambda: "goes on") == "goes on"


async def test_lets_the_loop_run_while_a_call_takes_long(writer: Writer) -> None:
    gate = threading.Event()
    call = asyncio.create_task(writer.run(lambda: gate.wait(5)))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not call.done()
    gate.set()
    assert await call is True


async def test_raises_from_a_long_call_too(writer: Writer) -> None:
    gate = threading.Event()

    def fail() -> None:
        gate.wait(5)
        raise ZeroDivisionError

    call = asyncio.create_task(writer.run(fail))
    await asyncio.sleep(0)
    gate.set()
    with pytest.raises(ZeroDivisionError):
        await call


async def test_finishes_what_its_caller_gave_up(writer: Writer) -> None:
    gate, done = threading.Event(), threading.Event()

    def work() -> None:
        gate.wait(5)
        done.set()

    call = asyncio.create_task(writer.run(work))
    await asyncio.sleep(0)
    call.cancel()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await writer.run(done.is_set)


async def test_works_on_its_own_when_nothing_is_asked(writer: Writer) -> None:
    idle = threading.Event()
    writer.when_idle(idle.set)
    assert await writer.run(idle.is_set) is False
    assert await asyncio.to_thread(idle.wait, 5)


async def test_outlives_what_its_idle_work_raises(writer: Writer) -> None:
    idle = threading.Event()

    def fail() -> None:
        idle.set()
        raise ZeroDivisionError("of the idle work")

    writer.when_idle(fail)
    with capture_logs() as logs:
        for _ in range(2):
            idle.clear()
            assert await writer.run(lambda: "goes on") == "goes on"
            assert await asyncio.to_thread(idle.wait, 5)
        assert await writer.run(lambda: "goes on") == "goes on"
    assert [(each["event"], each["error"]) for each in logs][:1] == [
        ("idle work failed", "ZeroDivisionError('of the idle work')")
    ]
