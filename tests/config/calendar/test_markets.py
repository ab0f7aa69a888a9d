"""The market files: complete, sourced, and refused where they are not; and the warning before they run out."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from risk_manager.config.calendar import MarketFileInvalid, build_calendar, running_out
from risk_manager.config.calendar.holidays import usual_holidays
from risk_manager.config.calendar.markets import DIRECTORY, MarketTables, read_market
from risk_manager.domain.calendar import EMPTY, WARNING_NS, Calendar, Week, Window
from risk_manager.domain.products import _VENUE_ROOTS
from risk_manager.domain.zone import DAY_S, SECOND_NS, date_of_day, day_of_date

FILES = sorted(DIRECTORY.glob("cme_*.yaml"))
GROUPS = [path.stem for path in FILES]

SOUND = """
group: test
timezone: America/Chicago
covers: [2026-01-01, 2026-12-31]
holidays_beyond: none
sources:
  here: {read: 2026-11-21, what: "a test"}
week:
  - from: 2000-01-01
    windows: ["Mon 17:00 - Tue 16:00", "Tue 17:00 - Wed 16:00", "Sun 17:00 - Mon 16:00"]
days:
  2026-01-13: "closes 12:00 [here] some day"
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "test.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def closures(tmp_path: Path, day: str) -> list[tuple[float, float]]:
    """What one deviation of 2026-01-13, a Tuesday, closes, in hours from that day's midnight in Chicago."""
    text = SOUND.replace('2026-01-13: "closes 12:00 [here] some day"', f"2026-01-13: {day}")
    market = read_market(written(tmp_path, text))
    midnight_ns = market.zone.instant_ns(day_of_date("2026-01-13") * DAY_S * SECOND_NS)
    ends = zip(market.closure_starts_ns, market.closure_ends_ns, strict=True)
    return [((start - midnight_ns) / 3600e9, (end - midnight_ns) / 3600e9) for start, end in ends]


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ('"closed [here] x"', [(-7, 16)]),
        ('"closes 12:00 [here] x"', [(12, 16)]),
        ('"opens 08:30 [here] x"', [(-7, 8.5)]),
        ('"opens 08:30, closes 12:15 [here] x"', [(-7, 8.5), (12.25, 16)]),
    ],
)
def test_reads_what_deviates(tmp_path: Path, day: str, expected: list[tuple[float, float]]) -> None:
    assert closures(tmp_path, day) == expected


DAY = "closes 12:00 [here] some day"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (DAY, "closes 12:00 [there] some day", "2026-01-13: cannot be read: closes 12:00 [there]"),  # nobody's word
        (DAY, "closes 12:00 some day", "2026-01-13: cannot be read"),
        (DAY, "closes 17:30 [here] some day", "2026-01-13: lies outside the usual sessions: closes 17:30"),
        (DAY, "opens 15:00, closes 12:00 [here] some day", "2026-01-13: lies outside"),
        (DAY, "opens 12:00, closes 12:00 [here] some day", "2026-01-13: lies outside"),
        (DAY, "closes 12:00 [here] ", "2026-01-13: cannot be read"),
        (DAY, "halts 12:00 [here] some day", "2026-01-13: cannot be read"),
        ("2026-01-13:", "2026-01-17:", "2026-01-17: no session ends on that day"),  # a Saturday
        ("2026-01-13:", "2027-01-12:", "2027-01-12 is not covered"),
        ("2026-01-13:", "2026-02-30:", "out of range"),
        ("America/Chicago", "America/Nowhere", "America/Nowhere"),
        ("holidays_beyond: none", "holidays_beyond: all", "holidays_beyond"),
        ("holidays_beyond: none", "holiday: none", "has ['covers', 'days', 'group', 'holiday', "),
        ("group: test\n", "", "must have ['covers', 'days', 'group', "),
        ("Mon 17:00 - Tue 16:00", "Mon 17:00 to Tue 16:00", "no window: Mon 17:00 to Tue 16:00"),
        ("Mon 17:00", "Moo 17:00", ""),
        ("covers: [2026-01-01, 2026-12-31]", "covers: [2026-01-01]", "not enough values"),
        ("group: test", "group: [test", "while parsing"),
        ("group: test", "- test", "while parsing"),
        (SOUND, "- test", "is no mapping"),
    ],
)
def test_refuses_a_file_that_is_not_as_it_should_be(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in SOUND
    with pytest.raises(MarketFileInvalid, match=rf"^test\.yaml: .*{re.escape(said)}"):
        read_market(written(tmp_path, SOUND.replace(old, new)))


def test_reads_the_windows_of_a_week_in_order(tmp_path: Path) -> None:
    text = SOUND.replace("Sun 17:00 - Mon 16:00", "Mon 00:45 - Mon 15:15").replace("Tue 17:00 - Wed", "Thu 17:00 - Thu")
    assert read_market(written(tmp_path, text)).weeks == (
        Week(
            day_of_date("2000-01-01"),
            (
                Window(45 * 60, 15 * 3_600 + 15 * 60),
                Window(17 * 3_600, DAY_S + 16 * 3_600),
                Window(3 * DAY_S + 17 * 3_600, 10 * DAY_S + 16 * 3_600),  # into the next week
            ),
        ),
    )
    text = SOUND.replace("Tue 17:00 - Wed 16:00", "Wed 17:00 - Wed 17:00")
    assert read_market(written(tmp_path, text)).weeks[0].windows[1] == Window(
        2 * DAY_S + 17 * 3_600, 9 * DAY_S + 17 * 3_600
    )


CHANGING = """
  - {from: 2000-01-01, windows: ["Wed 00:00 - Wed 10:00"]}
  - {from: 2026-01-14, windows: ["Wed 00:00 - Wed 12:00"]}
  - {from: 2026-01-21, windows: ["Wed 00:00 - Wed 14:00"]}
days:
  2026-01-07: "closed [here] x"
  2026-01-14: "closed [here] x"
  2026-01-21: "closed [here] x"
  2026-12-30: "closed [here] x"
"""


def test_closes_the_sessions_of_the_week_that_holds_on_the_day(tmp_path: Path) -> None:
    market = read_market(written(tmp_path, SOUND.partition("\n  - from")[0] + CHANGING))
    starts = [market.zone.wall_ns(start) // SECOND_NS for start in market.closure_starts_ns]
    assert starts == [day_of_date(f"2026-{day}") * DAY_S for day in ("01-07", "01-14", "01-21", "12-30")]
    ends = zip(market.closure_starts_ns, market.closure_ends_ns, strict=True)
    assert [(end - start) // (3_600 * SECOND_NS) for start, end in ends] == [10, 12, 14, 14]


def test_covers_its_first_and_its_last_day(tmp_path: Path) -> None:
    text = SOUND.replace("[2026-01-01, 2026-12-31]", "[2026-01-13, 2026-01-13]")
    market = read_market(written(tmp_path, text))
    assert market.known_from_ns == market.zone.instant_ns(day_of_date("2026-01-13") * DAY_S * SECOND_NS)
    assert market.known_until_ns == market.known_from_ns + DAY_S * SECOND_NS


def test_closes_on_usual_holidays_outside_the_days_it_covers(tmp_path: Path) -> None:
    """Covered from Martin Luther King Jr. Day to Memorial Day; sessions end from Monday to Wednesday."""
    text = SOUND.replace("holidays_beyond: none", "holidays_beyond: us").replace("2026-01-13", "2026-02-10")
    text = text.replace("[2026-01-01, 2026-12-31]", "[2026-01-19, 2026-05-25]")
    market = read_market(written(tmp_path, text))
    days = [date_of_day(market.zone.wall_ns(end) // (DAY_S * SECOND_NS)) for end in market.closure_ends_ns]
    assert (days[0], days[-1]) == ("2007-01-01", "2060-09-06")
    assert [day for day in days if "2025-10" < day < "2027"] == ["2025-12-24", "2026-02-10", "2026-09-07"]


def test_refuses_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MarketFileInvalid):
        MarketTables(tmp_path, frozenset({"gone"}))["gone"]


# -- the files we ship -------------------------------------------------------------------------------------------------


def test_every_group_has_a_file_and_every_file_a_group() -> None:
    assert sorted(build_calendar().markets) == GROUPS
    assert all(build_calendar().markets[group].name == group for group in GROUPS)


@pytest.mark.parametrize("path", FILES, ids=GROUPS)
def test_says_who_said_so_and_when_it_was_read(path: Path) -> None:
    data = YAML(typ="safe", pure=True).load(path)
    assert all(set(source) == {"read", "what"} and source["what"] for source in data["sources"].values())
    named = {name.strip() for text in data["days"].values() for name in text.split("[")[1].split("]")[0].split(",")}
    assert named <= set(data["sources"])
    assert named, "a file without a dated deviation has not been filled in"


@pytest.mark.parametrize("group", GROUPS)
def test_covers_2024_to_2027(group: str) -> None:
    market = build_calendar().markets[group]
    for day, is_known in (("2023-12-31", False), ("2024-01-01", True), ("2027-12-31", True), ("2028-01-01", False)):
        noon_ns = market.zone.instant_ns((day_of_date(day) * DAY_S + 12 * 3600) * SECOND_NS)
        assert market.is_known(noon_ns) is is_known


@pytest.mark.parametrize("group", GROUPS)
def test_closures_are_disjoint_and_in_order(group: str) -> None:
    market = build_calendar().markets[group]
    edges = [edge for pair in zip(market.closure_starts_ns, market.closure_ends_ns, strict=True) for edge in pair]
    assert edges == sorted(edges)
    assert all(start < end for start, end in zip(market.closure_starts_ns, market.closure_ends_ns, strict=True))


def test_every_product_trades_at_one_market_under_all_its_names() -> None:
    by_root = build_calendar().group_by_root
    listed = [name for group in read_products().values() for name in group.replace("/", " ").split()]
    assert len(listed) == len(set(listed)) == len(by_root)
    wrong = {alias: root for alias, root in _VENUE_ROOTS.items() if by_root.get(alias) != by_root.get(root)}
    assert wrong == {}
    assert {root for root in _VENUE_ROOTS.values() if root not in by_root} == set()


def read_products() -> Mapping[str, str]:
    data: Mapping[str, str] = YAML(typ="safe", pure=True).load(DIRECTORY / "products.yaml")
    return data


@pytest.mark.parametrize(
    ("root", "group"),
    [
        ("ES", "cme_equity"),
        ("ENQ", "cme_equity"),
        ("MYM", "cme_equity"),
        ("6E", "cme_fx"),
        ("m6a", "cme_fx"),
        ("MCLE", "cme_energy"),
        ("MGC", "cme_metals"),
        ("ZN", "cme_rates"),
        ("ZC", "cme_grains"),
        ("LE", "cme_livestock"),
        ("GMET", "cme_crypto"),
    ],
)
def test_finds_the_market_of_a_product(root: str, group: str) -> None:
    market = build_calendar().market(root)
    assert market is not None
    assert market.name == group


# -- the end of the data -----------------------------------------------------------------------------------------------


def calendar(tmp_path: Path) -> Calendar:
    return Calendar(markets={"test": read_market(written(tmp_path, SOUND))})


def test_warns_sixty_days_before_the_data_ends(tmp_path: Path) -> None:
    one = calendar(tmp_path)
    end_ns = one.markets["test"].known_until_ns
    assert running_out(one, end_ns - WARNING_NS - 1) == ()
    soon = ("the calendar test ends on 2026-12-31: install a newer version before that",)
    assert running_out(one, end_ns - WARNING_NS) == running_out(one, end_ns - 1) == soon
    (late,) = running_out(one, end_ns)
    assert late.startswith("the calendar test ended on 2026-12-31: ")


def test_warns_of_the_markets_in_use_only() -> None:
    tables = MarketTables(DIRECTORY, frozenset(GROUPS))
    one = Calendar(markets=tables)
    late_ns = 1 << 62
    assert running_out(one, late_ns) == running_out(EMPTY, late_ns) == ()
    assert tables["cme_fx"] is tables["cme_fx"]
    assert len(running_out(one, late_ns)) == 1
    assert (len(tables), list(tables)) == (len(GROUPS), GROUPS)
    assert tables.get("cme_tulips") is None


# -- usual holidays ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("year", "holidays"),
    [
        (2022, "01-17 02-21 04-15 05-30 06-20 07-04 09-05 11-24 11-25 12-26"),
        (
            2023,
            "01-02 01-16 02-20 04-07 05-29 06-19 07-04 09-04 11-23 11-24 12-25",
        ),
        (
            2027,
            "01-01 01-18 02-15 03-26 05-31 06-18 07-05 09-06 11-25 11-26 12-24 12-31",
        ),
        (2030, "01-01 01-21 02-18 04-19 05-27 06-19 07-04 09-02 11-28 11-29 12-24 12-25"),
    ],
)
def test_knows_the_usual_holidays(year: int, holidays: str) -> None:
    assert usual_holidays(year) == [f"{year}-{day}" for day in holidays.split()]


@pytest.mark.parametrize(
    "good_friday",
    ["1902-03-28", "2008-03-21", "2011-04-22", "2016-03-25", "2018-03-30", "2019-04-19", "2020-04-10", "2021-04-02",
     "2022-04-15", "2024-03-29", "2025-04-18", "2026-04-03", "2038-04-23", "2049-04-16", "2057-04-20", "2106-04-16"],
)  # fmt: skip
def test_knows_good_friday(good_friday: str) -> None:
    assert good_friday in usual_holidays(int(good_friday[:4]))


def test_the_usual_holidays_are_those_the_files_know() -> None:
    """Every day on which the equity market deviates is usually a holiday, but the eve of Independence Day."""
    data = YAML(typ="safe", pure=True).load(DIRECTORY / "cme_equity.yaml")
    usual = {day for year in range(2024, 2028) for day in usual_holidays(year)}
    known = {str(day) for day in data["days"]}
    assert known - usual == {"2024-07-03", "2025-07-03", "2025-01-09"}
    assert usual - known == {"2027-12-31"}
