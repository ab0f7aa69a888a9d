"""Every order that is not done, in as many calls as it takes: a list with a part missing is no list at all."""

from risk_manager.venues.projectx.errors import ReadFailed
from risk_manager.venues.projectx.gateway import Envelope, Gateway
from risk_manager.venues.projectx.problems import Problems
from risk_manager.venues.projectx.wire import Fields

_QUERY = "/api/Order/v2/query"
_WORKING_STATUSES = (1, 6, 7, 8)
_SIZES: tuple[int, ...] = (500, 100, 20)
_CALLS_MOST = 5
"""For one list: more would take the reads of positions from the same budget."""
_MISSES_BELIEVED = 3
_OLD_WAYS_IN_A_ROW = 20
"""About a minute."""


class OrderPages:
    """Reads lists of orders. The venue documents neither how many rows a page may have nor what its offset counts, rows
    or pages: both are found out when it matters, and kept."""

    def __init__(self, gateway: Gateway, problems: Problems) -> None:
        self._gateway = gateway
        self._problems = problems
        self._misses = 0
        self._old_ways = 0
        self._sizes = _SIZES
        self._counts_pages = False

    async def read(self, account_id: str, granted_ns: int | None = None) -> Envelope:
        """An answer that holds all working and suspended orders; the first call is part of the look of `granted_ns`.

        A deployment without the query is asked the old way, which hides the suspended ones. A gateway that is being
        deployed answers 404 to what it has, too: it is believed when it says so again, and asked anew now and then.

        Raises:
            ReadFailed: the venue refused, or the list was not complete.
            NotSent, Lost: it was not reached, or did not answer.
        """
        if self._old_ways == 0:
            first = await self._first(account_id, granted_ns)
            if first is not None:
                self._misses = 0
                return await self._completed(account_id, first)
            granted_ns = None
        self._old_ways = (self._old_ways + 1) % _OLD_WAYS_IN_A_ROW
        return await self._gateway.read("/api/Order/searchOpen", {"accountId": int(account_id)}, granted_ns=granted_ns)

    async def _first(self, account_id: str, granted_ns: int | None) -> Envelope | None:
        """The first page, as large as the venue lets it be; None where the query is unknown for certain."""
        while True:
            try:
                return await self._page(account_id, 0, granted_ns)
            except ReadFailed as error:
                granted_ns = None
                self._misses = self._misses + 1 if error.status == 404 else 0
                if self._misses >= _MISSES_BELIEVED:
                    self._problems.note("no_order_query", f"{_QUERY} is unknown here; suspended orders stay hidden")
                    return None
                if error.status != 400 or len(self._sizes) == 1:
                    raise
                self._problems.note("order_page_refused", f"{self._sizes[0]} rows at once are too many here")
                self._sizes = self._sizes[1:]

    async def _completed(self, account_id: str, page: Envelope) -> Envelope:
        found, total, number = _by_id(page), self._total(page), 0
        for _ in range(_CALLS_MOST - 1):
            if len(found) >= total:
                break
            number += 1
            page = await self._page(account_id, number if self._counts_pages else len(found))
            if self._total(page) < total:
                # What moved up into the gap would be on neither page.
                raise ReadFailed(f"{_QUERY}: orders went while they were read", status=200)
            before, total = len(found), self._total(page)
            found |= _by_id(page)
            if len(found) == before and not self._counts_pages:
                self._counts_pages, number = True, 0
        if len(found) < total:
            # Perhaps for having learned the wrong thing about the offset.
            self._counts_pages = False
            raise ReadFailed(f"{_QUERY}: {len(found)} of {total} orders", status=200)
        return Envelope(page.fields | {"orders": list(found.values())}, page.at_ns)

    async def _page(self, account_id: str, offset: int, granted_ns: int | None = None) -> Envelope:
        query = {
            "filter": {"accountId": int(account_id), "statuses": _WORKING_STATUSES},
            "pageSize": self._sizes[0],
            "sortBy": 1,
            "sortDirection": 0,
            "includeTotalCount": True,
        }
        # The first page is had without naming it, whatever number it has.
        query |= {"pageOffset": offset} if offset else {}
        return await self._gateway.read(_QUERY, query, granted_ns=granted_ns)

    def _total(self, page: Envelope) -> int:
        """How many orders there are by the venue's own count; without one, a page that is not full is all."""
        total, rows = page.fields.get("totalCount"), len(_by_id(page))
        if isinstance(total, int):
            return total
        if rows >= self._sizes[0]:
            raise ReadFailed(f"{_QUERY}: {rows} orders, of nobody knows how many", status=200)
        return rows


def _by_id(page: Envelope) -> dict[str, Fields]:
    rows = page.fields.get("orders")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ReadFailed(f"{_QUERY}: the list is missing", status=200)
    return {str(row.get("id")): row for row in rows}
