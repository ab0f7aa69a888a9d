"""RULE-011: no trading in certain products."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from risk_manager.domain.actions import CancelOrder, ClosePosition
from risk_manager.domain.contract import Contract
from risk_manager.domain.finding import Breach, Release, Skipped, Unit
from risk_manager.domain.lockout import OnLock
from risk_manager.domain.order import OrderStatus, Side
from risk_manager.domain.scope import Scope
from risk_manager.rules import OptionsInvalid, SymbolBlocks, SymbolBlocksRule
from risk_manager.rules.symbol_blocks import _forbidden
from risk_manager.testing.events import CL, CONTRACTS, ES, ES_JUNE, MES, MNQ, NQ, Scenario, contract
from risk_manager.testing.guarded import Guarded

BY_NAME = {one.name: one for one in CONTRACTS}


@pytest.fixture(autouse=True)
def _no_verdict_of_an_earlier_test() -> Iterator[None]:
    _forbidden.cache_clear()
    yield
    _forbidden.cache_clear()


def rule(*blocked: str, **options: Any) -> SymbolBlocks:
    return SymbolBlocksRule(**{"blocked_symbols": list(blocked), **options})


def closed(guarded: Guarded) -> list[str]:
    return sorted(action.contract_id for action in guarded.actions if isinstance(action, ClosePosition))


def cancelled(guarded: Guarded) -> list[str]:
    return sorted(action.order_id for action in guarded.actions if isinstance(action, CancelOrder))


@pytest.mark.parametrize(
    ("blocked", "forbidden"),
    [
        (["ES"], "ESH5 ESM5"),  # every expiry, and not MES
        (["es"], "ESH5 ESM5"),
        (["EP"], "ESH5 ESM5"),
        (["F.US.EP"], "ESH5 ESM5"),
        (["MES"], "MESH5"),
        (["NQ"], "NQH5"),
        (["enq"], "NQH5"),
        (["MNQ"], "MNQH5"),
        (["ESM5"], "ESM5"),
        (["CON.F.US.EP.M25"], "ESM5"),
        (["M*"], "MESH5 MNQH5"),
        (["?ES"], "MESH5"),
        (["[EC]*"], "ESH5 ESM5 CLH5"),
        (["*M5"], "ESM5"),
        (["E"], ""),
        (["S"], ""),
        (["ES", "CL"], "ESH5 ESM5 CLH5"),
    ],
)
def test_forbids_what_the_symbols_mean(blocked: list[str], forbidden: str) -> None:
    found = set()
    for name, product in BY_NAME.items():
        guarded = Guarded(rule(*blocked))
        guarded.feed(guarded.venue.buys(product, 1, 100))
        if closed(guarded) == [product.id]:
            found.add(name)
    assert found == set(forbidden.split())


@pytest.mark.parametrize(
    ("options", "forbidden"),
    [
        ({"allowed_symbols": ["ES", "MES"]}, "NQH5 MNQH5 CLH5"),
        ({"allowed_symbols": ["EP"]}, "MESH5 NQH5 MNQH5 CLH5"),
        ({"allowed_symbols": ["M*"]}, "ESH5 ESM5 NQH5 CLH5"),
        ({"allowed_symbols": ["ESH5"]}, "ESM5 MESH5 NQH5 MNQH5 CLH5"),
        ({"allowed_symbols": ["ES", "NQ"], "blocked_symbols": ["NQ"]}, "MESH5 NQH5 MNQH5 CLH5"),
    ],
)
def test_forbids_everything_that_is_not_on_a_list_of_what_is_allowed(options: dict[str, Any], forbidden: str) -> None:
    found = set()
    for name, product in BY_NAME.items():
        guarded = Guarded(rule(**options))
        guarded.feed(guarded.venue.sells(product, 1, 100))
        if guarded.breaches:
            found.add(name)
    assert found == set(forbidden.split())


def test_a_product_of_which_one_expiry_is_allowed_is_forbidden_by_its_other_expiries() -> None:
    guarded = Guarded(rule(allowed_symbols=["ESH5"]))
    guarded.feed(guarded.venue.buys(ES_JUNE, 1, 5850), guarded.venue.buys(NQ, 1, 21_000))
    assert [breach.scope for breach in guarded.breaches] == [Scope(contract_id=ES_JUNE.id), Scope(root="NQ")]


def test_an_x_is_a_letter_like_any_other() -> None:
    venue = Scenario()
    venue.contracts = (russell := contract("RTY", "0.1", "5", "RTX"),)
    guarded = Guarded(rule("RTX"), venue=venue)
    guarded.feed(venue.buys(russell, 1, 2000))
    assert closed(guarded) == [russell.id]


def test_cancels_the_orders_and_closes_the_position_and_locks_the_product() -> None:
    guarded = Guarded(rule("CL"))
    venue = guarded.venue
    guarded.feed(venue.buys(ES, 1, 5800), venue.order(ES, Side.BUY, 1, limit=5700, order_id="es"))
    assert (guarded.findings, guarded.skipped) == ([], [])
    guarded.feed(venue.order(CL, Side.BUY, 2, limit=70, order_id="cl"))
    assert cancelled(guarded) == ["cl"]
    (lockout,) = guarded.lockouts
    assert (lockout.scope, lockout.until_ns, lockout.on_lock) == (Scope(root="CL"), None, OnLock.FLATTEN)
    # The order fills before the cancel arrives.
    guarded.feed(
        venue.order(CL, Side.BUY, 2, limit=70, order_id="cl", status=OrderStatus.FILLED), venue.buys(CL, 2, 70)
    )
    assert closed(guarded) == [CL.id]
    assert cancelled(guarded) == ["cl"]


def test_leaves_existing_positions_when_told_so_but_lets_nothing_be_added() -> None:
    venue = Scenario()
    venue.position(CL, 2, 70)
    venue.order(CL, Side.SELL, 2, stop=69, order_id="stop")
    guarded = Guarded(rule("CL", close_existing=False), venue=venue)
    assert [lockout.on_lock for lockout in guarded.lockouts] == [OnLock.BLOCK_NEW]
    assert (cancelled(guarded), closed(guarded)) == ([], [])
    guarded.feed(venue.order(CL, Side.BUY, 1, limit=69, order_id="add"))
    assert cancelled(guarded) == ["add"]
    assert closed(guarded) == []


def test_closes_what_is_there_at_the_start() -> None:
    venue = Scenario()
    venue.position(CL, -2, 70)
    guarded = Guarded(rule("CL"), venue=venue)
    assert closed(guarded) == [CL.id]
    assert [breach.measured for breach in guarded.breaches] == [2]


def test_only_says_so_when_asked_for_an_alert() -> None:
    guarded = Guarded(rule("CL", action="alert"))
    guarded.feed(guarded.venue.buys(CL, 1, 70), guarded.venue.buys(ES, 1, 5800))
    assert guarded.codes == ["SYMBOL_BLOCKED"]
    assert (guarded.actions, guarded.lockouts) == ([], ())


class TestRelease:
    def locked(self, *blocked: str) -> Guarded:
        guarded = Guarded(rule(*blocked))
        guarded.feed(guarded.venue.buys(CL, 1, 70), guarded.venue.closes(CL, 70))
        assert [lockout.scope for lockout in guarded.lockouts] == [Scope(root="CL")]
        return guarded

    def test_comes_with_rules_that_no_longer_forbid_the_product(self) -> None:
        guarded = self.locked("CL", "NG")
        (decision,) = guarded.change_rules(rule("NG"))
        assert [(end.scope, end.reason) for end in decision.lockouts_released] == [
            (Scope(root="CL"), "no longer blocked")
        ]
        assert guarded.lockouts == ()

    def test_does_not_come_while_another_name_still_forbids_it(self) -> None:
        guarded = self.locked("CL")
        guarded.change_rules(rule("CLE", "NG"))
        assert len(guarded.lockouts) == 1

    def test_does_not_come_with_the_end_of_the_trading_day_or_a_restart(self) -> None:
        guarded = self.locked("CL")
        guarded.venue.wait(30 * 3600)
        guarded.feed(guarded.venue.quote(ES, 5800))
        guarded.restart()
        guarded.feed(guarded.venue.snapshot())
        assert len(guarded.lockouts) == 1

    def test_comes_after_a_restart_with_other_rules(self) -> None:
        guarded = self.locked("CL")
        guarded.settings = msgspec.structs.replace(guarded.settings, rules=(rule("NG"),))
        guarded.restart()
        guarded.feed(guarded.venue.snapshot())
        assert guarded.lockouts == ()

    @pytest.mark.parametrize(
        ("blocked", "after", "is_locked"),
        [
            (("CL",), ("F.US.CLE",), True),  # another name, which only the contract's record knows
            (("CL",), ("ES",), False),
            (("ESM5",), ("CON.F.US.EP.M25",), True),
            (("ESM5",), ("ES",), False),  # then it is the product that is locked, and not this contract
        ],
    )
    def test_looks_at_the_records_of_what_is_locked(
        self, blocked: tuple[str, ...], after: tuple[str, ...], is_locked: bool
    ) -> None:
        guarded = Guarded(rule(*blocked))
        product = CL if blocked == ("CL",) else ES_JUNE
        guarded.feed(guarded.venue.buys(product, 1, 70), guarded.venue.closes(product, 70))
        (before,) = guarded.lockouts
        guarded.change_rules(rule(*after))
        assert guarded.lockouts == ((before,) if is_locked else ())

    @pytest.mark.parametrize(("after", "is_locked"), [("CLE", True), ("C*", True), ("NG", False)])
    def test_goes_by_the_name_of_a_product_the_venue_does_not_list(self, after: str, is_locked: bool) -> None:
        venue = Scenario()
        venue.contracts = (ES,)
        account = Guarded(venue=venue).engine.account
        account.lockouts = self.locked("CL").lockouts
        _, found = rule(after).step(None, venue.timer(), account)
        assert found == (() if is_locked else (Release("symbol_blocks", Scope(root="CL"), "no longer blocked"),))

    @pytest.mark.parametrize(("after", "is_locked"), [("EP", True), ("NG", False)])
    def test_goes_by_the_id_of_a_contract_the_venue_has_not_described(self, after: str, is_locked: bool) -> None:
        venue = Scenario()
        venue.contracts = ()
        guarded = Guarded(rule("ES"), venue=venue)
        guarded.feed(venue.position(ES, 1, 100), venue.position(ES, 0))
        guarded.change_rules(rule(after))
        assert [lockout.scope for lockout in guarded.lockouts] == [Scope(contract_id=ES.id)] * is_locked

    def test_is_of_its_own_lockouts_only(self) -> None:
        guarded = self.locked("CL")
        account = guarded.engine.account
        (own,) = guarded.lockouts
        account.lockouts = (own, msgspec.structs.replace(own, rule="another", scope=Scope(root="ES")))
        _, found = rule("NG").step(None, guarded.venue.timer(), account)
        assert found == (Release("symbol_blocks", Scope(root="CL"), "no longer blocked"),)

    def test_leaves_the_locks_of_other_products_alone(self) -> None:
        guarded = self.locked("CL", "NQ")
        guarded.feed(guarded.venue.buys(NQ, 1, 21000))
        guarded.change_rules(rule("NQ"))
        assert [lockout.scope for lockout in guarded.lockouts] == [Scope(root="NQ")]


class TestContractTheVenueHasNotDescribed:
    def holding(self, product: Contract, **options: Any) -> Guarded:
        venue = Scenario()
        venue.contracts = ()
        guarded = Guarded(rule(**options), venue=venue)
        guarded.feed(venue.position(product, 1, 100))
        return guarded

    @pytest.mark.parametrize("symbol", ["ES", "EP", "es", "E*", "F.US.EP", ES.id])
    def test_is_closed_where_its_id_may_mean_a_forbidden_product(self, symbol: str) -> None:
        guarded = self.holding(ES, blocked_symbols=[symbol])
        assert [breach.scope for breach in guarded.breaches] == [Scope(contract_id=ES.id)]
        assert closed(guarded) == [ES.id]

    @pytest.mark.parametrize(
        ("product", "symbol"),
        [(MES, "ES"), (MES, "EP"), (ES, "MES"), (NQ, "MNQ"), (CL, "C"), (ES, "C*"), (ES, "F.US.MES"), (ES, "US")],
    )
    def test_is_let_be_where_its_id_means_another_product(self, product: Contract, symbol: str) -> None:
        guarded = self.holding(product, blocked_symbols=[symbol])
        assert guarded.breaches == []
        assert guarded.skipped == [Skipped("symbol_blocks", f"contract_unknown {product.id}")]

    @pytest.mark.parametrize(
        ("contract_id", "is_blocked"), [("ESH5", True), ("MESH5", False), ("X-ES-Y", True), ("17", False)]
    )
    def test_is_judged_by_every_part_of_an_id_of_another_form(self, contract_id: str, is_blocked: bool) -> None:
        odd = msgspec.structs.replace(ES, id=contract_id)
        assert bool(self.holding(odd, blocked_symbols=["ES"]).breaches) == is_blocked

    def test_is_closed_unless_its_id_is_on_the_list_of_what_is_allowed(self) -> None:
        assert self.holding(ES, allowed_symbols=["ES"]).breaches == []
        assert closed(self.holding(CL, allowed_symbols=["ES"])) == [CL.id]

    def test_is_judged_by_its_record_once_that_comes(self) -> None:
        guarded = self.holding(msgspec.structs.replace(MNQ, id="ES-LIKE"), blocked_symbols=["ES"])
        guarded.venue.contracts = (msgspec.structs.replace(MNQ, id="ES-LIKE"),)
        (decision, *_) = guarded.feed(guarded.venue.snapshot())
        assert [end.scope for end in decision.lockouts_released] == [Scope(contract_id="ES-LIKE")]
        assert guarded.lockouts == ()


def test_says_what_is_held_and_ordered_in_the_product() -> None:
    venue = Scenario()
    venue.order(ES, Side.BUY, 1, limit=5700)
    venue.order(CL, Side.BUY, 1, limit=70)
    venue.order(CL, Side.BUY, 1, limit=69)
    venue.position(ES, 2, 5800)
    venue.position(ES_JUNE, -1, 5850)
    venue.position(CL, 7, 70)
    guarded = Guarded(rule("ES", action="alert"), venue=venue)
    assert guarded.breaches == [
        Breach(
            "symbol_blocks",
            "SYMBOL_BLOCKED",
            3,
            0,
            Unit.CONTRACTS,
            Scope(root="ES"),
            evidence=(("symbol", "ES"), (ES.id, "+2"), (ES_JUNE.id, "-1"), ("orders", "1")),
        )
    ]


def test_raises_no_second_enforcement_for_a_duplicate_event() -> None:
    guarded = Guarded(rule("CL"))
    events = guarded.venue.buys(CL, 1, 70)
    guarded.feed(events, events, events)
    assert (guarded.codes, closed(guarded)) == (["SYMBOL_BLOCKED"], [CL.id])


def test_treats_the_expiries_of_a_product_as_one() -> None:
    guarded = Guarded(rule("ES"))
    guarded.feed(guarded.venue.buys(ES, 1, 5800), guarded.venue.buys(ES_JUNE, 1, 5850))
    assert closed(guarded) == sorted([ES.id, ES_JUNE.id])
    assert [lockout.scope for lockout in guarded.lockouts] == [Scope(root="ES")]


def test_keeps_accounts_apart() -> None:
    mine, other = Guarded(rule("CL")), Guarded(rule("NG"), venue=Scenario("1002"))
    for guarded in (mine, other):
        guarded.feed(guarded.venue.buys(CL, 1, 70))
    assert (mine.codes, other.codes) == (["SYMBOL_BLOCKED"], [])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "blocked_symbols: is missing"),
        ({"blocked_symbols": "CL"}, r"blocked_symbols: must be a list such as \['CL'\]"),
        ({"blocked_symbols": ["CL", 6]}, r"blocked_symbols\[1\]: must be text, not 6 \(quote it\)"),
        ({"blocked_symbols": ["CL "]}, r"blocked_symbols\[0\]: must not be empty, padded"),
        ({"blocked_symbols": [""]}, r"blocked_symbols\[0\]: must not be empty"),
        ({"blocked_symbols": ["C\nL"]}, r"blocked_symbols\[0\]: .*control characters"),
        ({"blocked_symbols": ["CL"], "close_existing": "no"}, "close_existing: must be true or false"),
        ({"blocked_symbols": ["CL"], "action": "flatten"}, "action: must be one of cancel_order, alert"),
    ],
)
def test_refuses_options_that_make_no_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionsInvalid, match=message):
        SymbolBlocksRule(**options)


def test_understands_older_spellings() -> None:
    for action in ("reject", "reject_order"):
        assert rule("CL", close_immediately=False, action=action) == rule("CL", close_existing=False)
