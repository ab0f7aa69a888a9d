"""What the REST API's sources leave open or describe in two ways, as choices; the defaults are the likelier reading."""

from collections.abc import Mapping
from typing import Annotated

import msgspec

_Delay = Annotated[float, msgspec.Meta(ge=0, le=86_400)]
_Rows = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
_Code = Annotated[int, msgspec.Meta(ge=1, le=99)]


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
        query_page_rows: how many orders a page of `v2/query` holds unless told.
        query_page_most: how many it may be told to hold.
        page_offset_counts_pages: `pageOffset` counts pages; else orders.
        cancel_done_code, modify_done_code: the answer about an order that is filled, cancelled or rejected.
        pads_decimals: money and prices are written with nine digits after the point, as the documents show them.
        writes_ids_as_text: ids of orders are strings.
        delay_spread_s: on top of the delay of every reply, a random part of this; the venue takes 40 to 120 ms.
        seed: that of the random part.
    """

    apps: Mapping[str, str] = {}
    passwords: Mapping[str, str] = {}
    validation_renews: bool = True
    validation_explains: bool = False
    logout_ends_user: bool = False
    has_live_data: bool = False
    bars_lag_s: _Delay = 0.0
    query_page_rows: _Rows = 100
    query_page_most: _Rows = 1000
    page_offset_counts_pages: bool = False
    cancel_done_code: _Code = 2
    modify_done_code: _Code = 2
    pads_decimals: bool = False
    writes_ids_as_text: bool = False
    delay_spread_s: _Delay = 0.0
    seed: int = 0
