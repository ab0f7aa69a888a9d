"""Throws faults at a server: one by one or by a script, undoing what has lasted long enough."""

import asyncio
import itertools
from collections.abc import Callable, Iterator

from risk_manager.simulator.fault_script import Script, Sentence, Step
from risk_manager.simulator.fault_verbs import VERBS, Lasting, Verb
from risk_manager.simulator.fault_words import KINDS, MS_PER_S, Unknown, kinds_of
from risk_manager.simulator.server.server import SimServer

_Values = tuple[object, ...]
# A verb with the values that say what it is about: one switch of the server.
_Switch = tuple[object, ...]


class FaultSchedule:
    """Plays scripts on the running event loop's own time.

    Faults of one switch may overlap: the newest that lasts decides how bad it is, and the switch goes back when the
    last has ended.

    Args:
        tell: called with a line for every fault that comes, goes or means nothing here.
    """

    def __init__(self, server: SimServer, tell: Callable[[str], None] = lambda _: None) -> None:
        self._server = server
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._began_s = self._loop.time()
        self._numbers = itertools.count()
        self._timers: set[asyncio.TimerHandle] = set()
        self._held: dict[_Switch, dict[int, tuple[Verb, _Values]]] = {}
        self._in_force: dict[int, Sentence] = {}
        self._steps: dict[int, Step] = {}

    @property
    def in_force(self) -> tuple[Sentence, ...]:
        """The faults that last at the moment, the oldest first."""
        return tuple(self._in_force.values())

    @property
    def waiting(self) -> Script:
        """What is still to come, with the times of the scripts it was played from."""
        return Script.of(self._steps.values())

    def problems(self, script: Script) -> list[str]:
        """What a script says that means nothing at this server: contracts, accounts and users that are not there."""
        found = []
        for step in script.steps:
            try:
                list(_meanings(self._server, step.sentence))
            except Unknown as unknown:
                found.append(f"{step.key}: {step.sentence}: {unknown}")
        return found

    def play(self, script: Script) -> None:
        """Throw everything a script says at its time, counted from now; scripts may be played beside each other."""
        start_s = self._loop.time()
        for step in script.steps:
            number = next(self._numbers)
            self._steps[number] = step
            self._wait(start_s + step.at_ms / MS_PER_S, number, step)

    def throw(self, sentence: Sentence) -> None:
        """Throw one fault now.

        Raises:
            Unknown: it means nothing at this server; nothing is done.
        """
        verb = VERBS[sentence.verb]
        meanings = list(_meanings(self._server, sentence))
        for values in meanings:
            if verb.at_once is not None:
                verb.at_once(self._server, *values)
        self._say(str(sentence))
        if verb.lasting is Lasting.CALLS and sentence.for_ms is None:
            self._count(verb, meanings, sentence.times or 1)
            return
        if verb.lasting is Lasting.MOMENT or (verb.lasting is Lasting.EITHER and sentence.for_ms is None):
            return
        number = next(self._numbers)
        self._in_force[number] = sentence
        for values in meanings:
            self._held.setdefault(_switch(verb, values), {})[number] = (verb, values)
            self._begin(verb, values)
        if sentence.for_ms is not None:
            self._at(self._loop.time() + sentence.for_ms / MS_PER_S, lambda: self._end(number))

    def stop(self) -> None:
        """Forget what is to come and undo everything that lasts."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._steps.clear()
        for number in list(self._in_force):
            self._end(number)
        self._server.faults.clear()

    def _wait(self, at_s: float, number: int, step: Step) -> None:
        def act() -> None:
            if step.is_repeated:
                self._wait(at_s + step.at_ms / MS_PER_S, number, step)
            else:
                del self._steps[number]
            try:
                self.throw(step.sentence)
            except Unknown as unknown:
                self._say(f"{step.sentence}: {unknown}")

        self._at(at_s, act)

    def _at(self, at_s: float, act: Callable[[], None]) -> None:
        def run() -> None:
            self._timers.discard(timer)
            act()

        timer = self._loop.call_at(at_s, run)
        self._timers.add(timer)

    def _end(self, number: int) -> None:
        sentence = self._in_force.pop(number)
        for switch, held in list(self._held.items()):
            if number not in held:
                continue
            was_newest = number == max(held)
            ended = held.pop(number)
            if not held:
                del self._held[switch]
                self._undo(*ended)
            elif was_newest and held[max(held)] != ended:
                self._begin(*held[max(held)])
        self._say(f"over: {sentence}")

    def _count(self, verb: Verb, meanings: list[_Values], times: int) -> None:
        assert verb.failure is not None, verb.name
        for path, *values in meanings:
            self._server.fail_next(str(path), verb.failure(*values), times)

    def _begin(self, verb: Verb, values: _Values) -> None:
        if verb.failure is not None:
            self._server.faults.fail_always(str(values[0]), verb.failure(*values[1:]), verb.name)
        elif verb.begin is not None:
            verb.begin(self._server, *values)

    def _undo(self, verb: Verb, values: _Values) -> None:
        if verb.failure is not None:
            self._server.faults.relent(str(values[0]), verb.name)
        elif verb.end is not None:
            verb.end(self._server, *values)

    def _say(self, what: str) -> None:
        self._tell(f"{self._loop.time() - self._began_s:8.1f} s  {what}")


def _meanings(server: SimServer, sentence: Sentence) -> Iterator[_Values]:
    """What a sentence means at a server: the values of its verb's acts, once for each thing it is about.

    Raises:
        Unknown: a word means nothing here.
    """
    kinds = kinds_of(VERBS[sentence.verb].form)
    parts = [KINDS[kind].parts(server, value) for kind, value in zip(kinds, sentence.values, strict=True)]
    return itertools.product(*parts)


def _switch(verb: Verb, values: _Values) -> _Switch:
    kinds = kinds_of(verb.form)
    places = (value for kind, value in zip(kinds, values, strict=True) if KINDS[kind].is_place)
    return (verb.switch or verb.name, *places)
