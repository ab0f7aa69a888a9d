"""What is to be sent later: when, and in which order."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable

from risk_manager.simulator.server.outbox import Outbox
from tests.simulator.test_fault_schedule import VirtualLoop


class Scene:
    """An outbox on virtual time, and what was done when, in milliseconds."""

    def __init__(self) -> None:
        self.outbox = Outbox()
        self.done: list[tuple[int, str]] = []

    def put(self, name: str, delay_ms: int, lane: Hashable = None) -> int:
        return round(self.outbox.put(lambda: self.note(name), delay_ms / 1000, lane) * 1000)

    def note(self, name: str) -> None:
        self.done.append((round(asyncio.get_running_loop().time() * 1000), name))


def on_virtual_time(test: Callable[[Scene], Awaitable[None]]) -> Callable[[], None]:
    def run() -> None:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(test(Scene()))  # type: ignore[arg-type]  # a coroutine, as the decorated ones are

    return run


@on_virtual_time
async def test_acts_at_the_time_of_each(scene: Scene) -> None:
    assert [scene.put("late", 30), scene.put("soon", 10), scene.put("now", 0)] == [30, 10, 0]
    assert (scene.done, len(scene.outbox)) == ([(0, "now")], 2)
    await asyncio.sleep(1)
    assert (scene.done[1:], len(scene.outbox)) == ([(10, "soon"), (30, "late")], 0)


@on_virtual_time
async def test_keeps_the_order_of_one_instant(scene: Scene) -> None:
    for number in range(50):
        scene.put(str(number), 5)
    await asyncio.sleep(1)
    assert scene.done == [(5, str(number)) for number in range(50)]


@on_virtual_time
async def test_lets_nothing_overtake_in_a_lane(scene: Scene) -> None:
    assert [scene.put("a", 20, "x"), scene.put("b", 10, "x"), scene.put("c", 0, "x"), scene.put("d", 10, "y")] == [
        *(20, 20, 20, 10),
    ]
    scene.put("e", 0)
    await asyncio.sleep(0.021)
    assert scene.done == [(0, "e"), (10, "d"), (20, "a"), (20, "b"), (20, "c")]
    assert scene.put("f", 0, "x") == 0, "the lane is free again"


@on_virtual_time
async def test_takes_what_is_put_in_by_what_is_done(scene: Scene) -> None:
    def two() -> None:
        scene.put("after", 5)
        scene.put("at once", 0)

    scene.outbox.put(two, 0.01)
    await asyncio.sleep(1)
    assert scene.done == [(10, "at once"), (15, "after")]


@on_virtual_time
async def test_forgets_everything_when_cleared(scene: Scene) -> None:
    scene.put("a", 10, "x")
    scene.outbox.clear()
    assert scene.put("b", 0, "x") == 0
    await asyncio.sleep(1)
    assert scene.done == [(0, "b")]


async def test_needs_no_loop_for_what_is_done_at_once() -> None:
    done: list[int] = []
    assert await asyncio.to_thread(lambda: Outbox().put(lambda: done.append(1), 0.0, "x")) == 0.0
    assert done == [1]
