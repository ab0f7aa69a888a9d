"""Which contracts trade now: halts and short pauses of one contract, the venue's hours and early ends for all."""

from collections.abc import Callable, Mapping

from risk_manager.simulator.agenda import Agenda
from risk_manager.simulator.book import Book
from risk_manager.simulator.hours import Phase, TradingHours

_BY_STRICTNESS = tuple(Phase)


class TradingStatus:
    """Keeps the books' flags and says whether an order may be taken.

    Args:
        books: all books by contract; shared with the exchange.
        resume: called with a book and the instant at which its halt ends.
        close: called with every book and the instant at which a session has ended.
        hours: None is always open.
    """

    def __init__(
        self,
        books: Mapping[str, Book],
        agenda: Agenda,
        resume: Callable[[Book, int], None],
        close: Callable[[Book, int], None],
        hours: TradingHours | None,
    ) -> None:
        self._books = books
        self._agenda = agenda
        self._resume = resume
        self._close = close
        self._hours = hours
        self._phase = self._due_phase = Phase.OPEN
        self._curbs: set[Phase] = set()
        self._halted: set[str] = set()
        self._pauses: dict[str, int] = {}
        if hours is not None:
            agenda.add(1, self._begin)

    def is_taking(self, book: Book) -> bool:
        """Whether new orders in a contract are taken."""
        return self._phase is Phase.OPEN and not book.is_halted

    def admit(self, book: Book) -> None:
        """Put a book that has just been listed under the hours of the others."""
        book.is_shut = self._phase is Phase.CLOSED

    def set_halted(self, contract_id: str, is_halted: bool, at_ns: int) -> None:
        """Halt a contract until told otherwise, or let it trade again, unless it is paused."""
        if is_halted:
            self._halted.add(contract_id)
        else:
            self._halted.discard(contract_id)
        self._apply(contract_id, at_ns)

    def pause(self, contract_id: str, at_ns: int, until_ns: int) -> None:
        """Halt a contract until an instant, besides every other halt and pause there is."""
        self._pauses[contract_id] = max(until_ns, self._pauses.get(contract_id, until_ns))
        self._agenda.add(until_ns, lambda now_ns: self._end_pause(contract_id, until_ns, now_ns))
        self._apply(contract_id, at_ns)

    def curb(self, phase: Phase, is_curbed: bool, at_ns: int) -> None:
        """Let the session be no further open than a phase, or as far as the hours and other curbs let it."""
        if is_curbed:
            self._curbs.add(phase)
        else:
            self._curbs.discard(phase)
        self._enter_phase(at_ns)

    def _end_pause(self, contract_id: str, until_ns: int, at_ns: int) -> None:
        if self._pauses.get(contract_id) == until_ns:
            del self._pauses[contract_id]
            self._apply(contract_id, at_ns)

    def _apply(self, contract_id: str, at_ns: int) -> None:
        book = self._books[contract_id]
        book.is_halted = contract_id in self._halted or contract_id in self._pauses
        self._resume(book, at_ns)

    def _begin(self, _: int) -> None:
        """Take the phase time is going to: nobody has traded in the years before."""
        self._change_phase(self._agenda.target_ns)

    def _change_phase(self, at_ns: int) -> None:
        assert self._hours is not None
        self._due_phase, until_ns = self._hours.phase(at_ns)
        self._enter_phase(at_ns)
        self._agenda.add(until_ns, self._change_phase)

    def _enter_phase(self, at_ns: int) -> None:
        before = self._phase
        self._phase = max((self._due_phase, *self._curbs), key=_BY_STRICTNESS.index)
        for book in self._books.values():
            if self._phase is Phase.CLOSED and before is not Phase.CLOSED:
                self._close(book, at_ns)
            book.is_shut = self._phase is Phase.CLOSED
