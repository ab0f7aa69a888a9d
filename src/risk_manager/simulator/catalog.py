"""Which contracts the simulated venue lists: ids, names and aliases in the venue's spelling, and what a side costs.

Tick sizes, values, roots and the costs of MNQ, MES, MYM, MCL and ZB come from captured venue payloads of 2026, ES from
the API's documentation; the costs of the others are set by their class (full-size like ES, micros like MNQ, rates like
ZB). Months are the exchange's.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

import msgspec

from risk_manager.domain.contract import Contract
from risk_manager.domain.instrument import Instrument
from risk_manager.simulator.records import SimContract

MONTH_CODES = "FGHJKMNQUVXZ"
_QUARTERLY = "HMUZ"
_EVERY_MONTH = MONTH_CODES
_GOLD_MONTHS = "GJMQVZ"
_SILVER_MONTHS = "HKNUZ"
_PLATINUM_MONTHS = "FJNV"
_SOYBEAN_MONTHS = "FHKNQUX"
_MEAL_MONTHS = "FHKNQUVZ"
_HOG_MONTHS = "GJKMNQVZ"
_FEEDER_MONTHS = "FHJKQUVX"
_MONTH_NAMES = "January February March April May June July August September October November December".split()


class Product(msgspec.Struct, frozen=True):
    """A product the venue lists.

    Attributes:
        venue_root: the root in the venue's ids (`EP`), which differs from the exchange's (`ES`) for some.
        months: month codes of the listed deliveries, in calendar order.
    """

    instrument: Instrument
    venue_root: str
    title: str
    fees_micros: int
    commission_micros: int
    months: str


def _product(
    root: str,
    venue_root: str,
    title: str,
    tick_size_nanos: int,
    tick_value_micros: int,
    costs_micros: tuple[int, int],
    months: str,
) -> Product:
    aliases = () if venue_root == root else (venue_root,)
    return Product(
        Instrument(root, tick_size_nanos, tick_value_micros, aliases), venue_root, title, *costs_micros, months
    )


_ES_COSTS = (1_400_000, 0)
_MNQ_COSTS = (360_000, 250_000)
_MCL_COSTS = (510_000, 0)
_ZB_COSTS = (890_000, 500_000)

PRODUCTS: tuple[Product, ...] = (
    _product("ES", "EP", "E-mini S&P 500", 250_000_000, 12_500_000, _ES_COSTS, _QUARTERLY),
    _product("MES", "MES", "Micro E-mini S&P 500", 250_000_000, 1_250_000, _MNQ_COSTS, _QUARTERLY),
    _product("NQ", "ENQ", "E-mini Nasdaq-100", 250_000_000, 5_000_000, _ES_COSTS, _QUARTERLY),
    _product("MNQ", "MNQ", "Micro E-mini Nasdaq-100", 250_000_000, 500_000, _MNQ_COSTS, _QUARTERLY),
    _product("RTY", "RTY", "E-mini Russell 2000", 100_000_000, 5_000_000, _ES_COSTS, _QUARTERLY),
    _product("M2K", "M2K", "Micro E-mini Russell 2000", 100_000_000, 500_000, _MNQ_COSTS, _QUARTERLY),
    _product("YM", "YM", "E-mini Dow", 1_000_000_000, 5_000_000, _ES_COSTS, _QUARTERLY),
    _product("MYM", "MYM", "Micro E-mini Dow", 1_000_000_000, 500_000, (370_000, 250_000), _QUARTERLY),
    _product("CL", "CLE", "Crude Oil", 10_000_000, 10_000_000, _ES_COSTS, _EVERY_MONTH),
    _product("MCL", "MCLE", "Micro Crude Oil", 10_000_000, 1_000_000, _MCL_COSTS, _EVERY_MONTH),
    _product("GC", "GCE", "Gold", 100_000_000, 10_000_000, _ES_COSTS, _GOLD_MONTHS),
    _product("MGC", "MGC", "Micro Gold", 100_000_000, 1_000_000, _MCL_COSTS, _GOLD_MONTHS),
    _product("EMD", "EMD", "E-mini S&P MidCap 400", 100_000_000, 10_000_000, _ES_COSTS, _QUARTERLY),
    _product("NKD", "NKD", "Nikkei 225 Dollar", 5_000_000_000, 25_000_000, _ES_COSTS, _QUARTERLY),
    _product("QM", "NQM", "E-mini Crude Oil", 25_000_000, 12_500_000, _ES_COSTS, _EVERY_MONTH),
    _product("NG", "NGE", "Natural Gas", 1_000_000, 10_000_000, _ES_COSTS, _EVERY_MONTH),
    _product("MNG", "MNG", "Micro Natural Gas", 1_000_000, 1_000_000, _MCL_COSTS, _EVERY_MONTH),
    _product("QG", "NQG", "E-mini Natural Gas", 5_000_000, 12_500_000, _ES_COSTS, _EVERY_MONTH),
    _product("RB", "RBE", "RBOB Gasoline", 100_000, 4_200_000, _ES_COSTS, _EVERY_MONTH),
    _product("HO", "HOE", "Heating Oil", 100_000, 4_200_000, _ES_COSTS, _EVERY_MONTH),
    _product("SI", "SIE", "Silver", 5_000_000, 25_000_000, _ES_COSTS, _SILVER_MONTHS),
    _product("SIL", "SIL", "Micro Silver", 5_000_000, 5_000_000, _MCL_COSTS, _SILVER_MONTHS),
    _product("HG", "CPE", "Copper", 500_000, 12_500_000, _ES_COSTS, _SILVER_MONTHS),
    _product("MHG", "MHG", "Micro Copper", 500_000, 1_250_000, _MCL_COSTS, _SILVER_MONTHS),
    _product("PL", "PLE", "Platinum", 100_000_000, 5_000_000, _ES_COSTS, _PLATINUM_MONTHS),
    _product("6E", "EU6", "Euro FX", 50_000, 6_250_000, _ES_COSTS, _QUARTERLY),
    _product("M6E", "M6E", "Micro Euro FX", 100_000, 1_250_000, _MNQ_COSTS, _QUARTERLY),
    _product("E7", "EEU", "E-mini Euro FX", 100_000, 6_250_000, _ES_COSTS, _QUARTERLY),
    _product("6B", "BP6", "British Pound", 100_000, 6_250_000, _ES_COSTS, _QUARTERLY),
    _product("M6B", "M6B", "Micro British Pound", 100_000, 625_000, _MNQ_COSTS, _QUARTERLY),
    _product("6C", "CA6", "Canadian Dollar", 50_000, 5_000_000, _ES_COSTS, _QUARTERLY),
    _product("MCD", "MCD", "Micro Canadian Dollar", 100_000, 1_000_000, _MNQ_COSTS, _QUARTERLY),
    _product("6A", "DA6", "Australian Dollar", 50_000, 5_000_000, _ES_COSTS, _QUARTERLY),
    _product("M6A", "M6A", "Micro Australian Dollar", 100_000, 1_000_000, _MNQ_COSTS, _QUARTERLY),
    _product("6J", "JY6", "Japanese Yen", 500, 6_250_000, _ES_COSTS, _QUARTERLY),
    _product("6S", "SF6", "Swiss Franc", 50_000, 6_250_000, _ES_COSTS, _QUARTERLY),
    _product("6M", "MX6", "Mexican Peso", 10_000, 5_000_000, _ES_COSTS, _QUARTERLY),
    _product("6N", "NE6", "New Zealand Dollar", 50_000, 5_000_000, _ES_COSTS, _QUARTERLY),
    _product("ZN", "TYA", "10-Year Treasury Note", 15_625_000, 15_625_000, _ZB_COSTS, _QUARTERLY),
    _product("TN", "TNA", "Ultra 10-Year Treasury Note", 15_625_000, 15_625_000, _ZB_COSTS, _QUARTERLY),
    _product("ZF", "FVA", "5-Year Treasury Note", 7_812_500, 7_812_500, _ZB_COSTS, _QUARTERLY),
    _product("ZT", "TUA", "2-Year Treasury Note", 3_906_250, 7_812_500, _ZB_COSTS, _QUARTERLY),
    _product("ZB", "USA", "30-Year Treasury Bond", 31_250_000, 31_250_000, _ZB_COSTS, _QUARTERLY),
    _product("UB", "ULA", "Ultra Treasury Bond", 31_250_000, 31_250_000, _ZB_COSTS, _QUARTERLY),
    _product("SR3", "SR3", "Three-Month SOFR", 5_000_000, 12_500_000, _ZB_COSTS, _QUARTERLY),
    _product("ZC", "ZCE", "Corn", 250_000_000, 12_500_000, _ES_COSTS, _SILVER_MONTHS),
    _product("ZS", "ZSE", "Soybean", 250_000_000, 12_500_000, _ES_COSTS, _SOYBEAN_MONTHS),
    _product("ZW", "ZWA", "Wheat", 250_000_000, 12_500_000, _ES_COSTS, _SILVER_MONTHS),
    _product("ZM", "ZME", "Soybean Meal", 100_000_000, 10_000_000, _ES_COSTS, _MEAL_MONTHS),
    _product("ZL", "ZLE", "Soybean Oil", 10_000_000, 6_000_000, _ES_COSTS, _MEAL_MONTHS),
    _product("HE", "HE", "Lean Hog", 25_000_000, 10_000_000, _ES_COSTS, _HOG_MONTHS),
    _product("LE", "GLE", "Live Cattle", 25_000_000, 10_000_000, _ES_COSTS, _GOLD_MONTHS),
    _product("GF", "GF", "Feeder Cattle", 25_000_000, 12_500_000, _ES_COSTS, _FEEDER_MONTHS),
    _product("MBT", "MBT", "Micro Bitcoin", 5_000_000_000, 500_000, _MNQ_COSTS, _EVERY_MONTH),
    _product("MET", "GMET", "Micro Ether", 500_000_000, 50_000, _MNQ_COSTS, _EVERY_MONTH),
)


def product(symbol: str) -> Product:
    """The product a trader (`ES`) or the venue (`EP`) calls by this name, any case.

    Raises:
        KeyError: the simulator does not list it.
    """
    for each in PRODUCTS:
        if each.instrument.is_called(symbol):
            return each
    raise KeyError(symbol)


def listed(symbol: str, month: str, *, is_active: bool = True) -> SimContract:
    """One dated listing: `listed("ES", "H24")` is `CON.F.US.EP.H24`, named `ESH4`.

    Args:
        month: month code and two digits of the year.

    Raises:
        KeyError: the product is not listed.
        ValueError: `month` is not of that form.
    """
    found = product(symbol)
    code, year = month[:1], month[1:]
    if code not in MONTH_CODES or len(code) != 1 or len(year) != 2 or not year.isdecimal():
        raise ValueError(month)
    root = found.instrument.root
    contract = Contract(
        id=f"CON.F.US.{found.venue_root}.{month}",
        name=f"{root}{code}{year[1]}",
        symbol_id=f"F.US.{found.venue_root}",
        instrument=found.instrument,
        is_active=is_active,
    )
    return SimContract(
        contract=contract,
        fees_micros=found.fees_micros,
        commission_micros=found.commission_micros,
        description=f"{found.title}: {_MONTH_NAMES[MONTH_CODES.index(code)]} 20{year}",
        display_name=f"{found.venue_root}{month}",
    )


def front_month(symbol: str, at_ns: int) -> str:
    """The month code and year traders use at an instant (`H24`).

    Index futures roll eight days before the third Friday of the delivery month, energy and metals on the 15th of the
    month before it: near enough to the exchange's calendar for a simulator, and always a month the product lists.

    Raises:
        KeyError: the product is not listed.
    """
    found = product(symbol)
    today = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_ns // 1_000)).date()
    year, month = today.year, today.month
    while True:
        code = MONTH_CODES[month - 1]
        if code in found.months and today < _roll_date(found, year, month):
            return f"{code}{year % 100:02d}"
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)


def neighbor_month(symbol: str, month: str, step: int) -> str:
    """The delivery a product lists `step` deliveries after (or, negative, before) one of its months (`H24`).

    Raises:
        KeyError: the product is not listed.
        ValueError: the product has no such month.
    """
    months = product(symbol).months
    years, place = divmod(months.index(month[:1]) + step, len(months))
    return f"{months[place]}{(int(month[1:]) + years) % 100:02d}"


def chain(symbol: str, at_ns: int) -> list[SimContract]:
    """The expired delivery of a product, the front one, which alone is active, and the one after it.

    Raises:
        KeyError: the product is not listed.
    """
    front = front_month(symbol, at_ns)
    months = [neighbor_month(symbol, front, step) for step in (-1, 0, 1)]
    return [listed(symbol, month, is_active=month == front) for month in months]


def front_contracts(at_ns: int, symbols: Iterable[str] | None = None) -> list[SimContract]:
    """The front listing of every product (or of those named) at an instant."""
    names = [each.instrument.root for each in PRODUCTS] if symbols is None else list(symbols)
    return [listed(name, front_month(name, at_ns)) for name in names]


def _roll_date(found: Product, year: int, month: int) -> date:
    if found.months == _QUARTERLY:
        first = date(year, month, 1)
        # Friday is weekday 4; two weeks after the first one is the third.
        third_friday = first + timedelta(days=(4 - first.weekday()) % 7 + 14)
        return third_friday - timedelta(days=8)
    return date(year - 1, 12, 15) if month == 1 else date(year, month - 1, 15)
