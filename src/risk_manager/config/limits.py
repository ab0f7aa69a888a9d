"""What rules say to each other: limits that cannot both be meant."""

from collections.abc import Iterator

from risk_manager.rules import (
    DailyRealizedLoss,
    DailyUnrealizedLoss,
    Fault,
    MaxContracts,
    MaxContractsPerInstrument,
    Rule,
    core_of,
)
from risk_manager.rules._options import dollars_text
from risk_manager.rules.max_contracts import CountType, Weighting

_PER_INSTRUMENT = MaxContractsPerInstrument.name


def contradictions(rules: tuple[Rule, ...]) -> tuple[Fault, ...]:
    """The faults between one account's enabled rules, each with its option as `rule.option`."""
    account = _first(rules, MaxContracts)
    products = _first(rules, MaxContractsPerInstrument)
    if account is None or products is None or account.count_type is CountType.NET_ACCOUNT:
        # Counted over the whole account, longs and shorts of different products make room for each other.
        return ()
    return tuple(_above_account_limit(account, products))


def doubts(rules: tuple[Rule, ...]) -> tuple[str, ...]:
    """What is allowed but hardly meant, one sentence each."""
    day = _first(rules, DailyRealizedLoss)
    floating = _first(rules, DailyUnrealizedLoss)
    if day is None or floating is None or floating.composite_enforcement.enabled:
        return ()
    if floating.loss_limit_micros <= day.limit_micros:
        return ()
    return (
        f"daily_unrealized_loss allows {dollars_text(floating.loss_limit_micros)}, more than the "
        f"{dollars_text(day.limit_micros)} of daily_realized_loss; the day's limit will come first",
    )


def _above_account_limit(account: MaxContracts, products: MaxContractsPerInstrument) -> Iterator[Fault]:
    message = f"is above the limit of {account.limit} for the whole account (max_contracts); it could never be reached"
    weighs_micros = account.weighting is Weighting.MINI_EQUIVALENT
    for symbol, limit in products.limits.items():
        tenths = 1 if weighs_micros and symbol.upper() in account.micro_symbols else 10
        if limit * tenths > account.limit * 10:
            yield Fault(f"{_PER_INSTRUMENT}.limits.{symbol}", message)
    # With weights the default may be meant for micros.
    if products.default_limit is not None and products.default_limit > account.limit and not weighs_micros:
        yield Fault(f"{_PER_INSTRUMENT}.default_limit", message)


def _first[R: Rule](rules: tuple[Rule, ...], kind: type[R]) -> R | None:
    """The rule of that kind under its own name; a second one is named because it is meant for something else."""
    cores = (core_of(rule) for rule in rules if rule.name == kind.name)
    return next((core for core in cores if isinstance(core, kind)), None)
