"""What the REST API's sources leave open or describe in two ways, as choices; the defaults are the likelier reading."""

from collections.abc import Mapping

import msgspec


class RestSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the REST API.

    Attributes:
        apps: verify key by application id, for firms' programs; none are known by default.
        passwords: by user name, for logins through an application.
        validation_renews: a validated token is answered with a fresh one; else with itself.
        validation_explains: an expired token is told so with code 3 over HTTP 200; else it gets a 401.
        logout_ends_user: a logout ends all sessions of the user, not only its own.
        has_live_data: the users' market data covers live accounts, so that `live: true` finds contracts and bars.
        bars_lag_s: bars younger than this are not there yet.
        query_page_rows, query_page_most: how many orders a page of `v2/query` holds unless told, and at most.
        page_offset_counts_pages: `pageOffset` counts pages; else orders.
        cancel_done_code, modify_done_code: the answer about an order that is filled, cancelled or rejected.
        pads_decimals: money and prices are written with nine digits after the point, as the documents show them.
        writes_ids_as_text: ids of orders are strings.
        delay_spread_s: on top of the delay of every reply, a random part of this; the venue takes 40 to 120 ms.
        seed: of that randomness.
    """

    apps: Mapping[str, str] = {}
    passwords: Mapping[str, str] = {}
    validation_renews: bool = True
    validation_explains: bool = False
    logout_ends_user: bool = False
    has_live_data: bool = False
    bars_lag_s: float = 0.0
    query_page_rows: int = 100
    query_page_most: int = 1000
    page_offset_counts_pages: bool = False
    cancel_done_code: int = 2
    modify_done_code: int = 2
    pads_decimals: bool = False
    writes_ids_as_text: bool = False
    delay_spread_s: float = 0.0
    seed: int = 0
