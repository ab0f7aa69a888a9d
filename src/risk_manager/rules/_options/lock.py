"""The `lockout` option: a shorthand, a mapping, or the flat spellings of older configurations."""

from collections.abc import Mapping

from risk_manager.domain.lockout import OnLock
from risk_manager.rules._base import LockTerms, LockUntil
from risk_manager.rules._options.faults import Fault, Refused
from risk_manager.rules._options.values import read_bool, read_choice, read_duration, shown

_RESET = ("reset", "daily_reset", "until_reset")
_DURATION_UNITS = {"duration": None, "duration_seconds": 9, "duration_ms": 6}
_KEYS = ("until", *_DURATION_UNITS, "on_lock", "whole_account")
_FLAT = {
    "lockout_until": "until",
    "lockout_duration": "duration",
    "lockout_duration_seconds": "duration_seconds",
    "lockout_on_lock": "on_lock",
    "on_lock": "on_lock",
}
FLAT_SPELLINGS = ("lockout_on_breach", *_FLAT)


def gathered(options: dict[str, object], faults: list[Fault]) -> dict[str, object]:
    """The options with `lockout_on_breach`, `lockout_until` ... moved into one `lockout` option."""
    flat = {key: options.pop(key) for key in FLAT_SPELLINGS if key in options}
    if not flat:
        return options
    if isinstance(options.get("lockout"), bool):
        flat.setdefault("lockout_on_breach", options.pop("lockout"))
    if "lockout" in options:
        faults.append(Fault("lockout", f"is said twice; leave out {', '.join(flat)}"))
        return options
    terms = {_FLAT[key]: value for key, value in flat.items() if key != "lockout_on_breach"}
    on_breach = flat.get("lockout_on_breach", True)
    if not isinstance(on_breach, bool):
        faults.append(Fault("lockout_on_breach", f"must be true or false, not {shown(on_breach)}"))
        return options
    return {**options, "lockout": (terms or True) if on_breach else False}


def read_lock(value: object, path: str, faults: list[Fault]) -> LockTerms | None:
    """The lock terms, None for no lock; what is wrong is added to `faults`."""
    if value is None or value is False:
        return None
    if value is True:
        return LockTerms()
    if not isinstance(value, Mapping):
        return _read_terms({"until": value}, path, faults)
    unknown = [key for key in value if key not in _KEYS]
    faults.extend(Fault(f"{path}.{key}", f"is not known; a lockout has {', '.join(_KEYS)}") for key in unknown)
    return _read_terms(value, path, faults)


def _read_terms(value: Mapping[object, object], path: str, faults: list[Fault]) -> LockTerms | None:
    durations = [key for key in _DURATION_UNITS if key in value]
    default = LockUntil.DURATION.value if durations else LockUntil.RESET.value
    until, duration_ns = LockUntil.RESET, None
    on_lock, whole_account = OnLock.FLATTEN, True
    before = len(faults)
    try:
        until, duration_ns = _read_until(value.get("until", default))
    except Refused as refused:
        faults.append(Fault(f"{path}.until", str(refused)))
    for key in durations:
        try:
            duration_ns = read_duration(value[key], _DURATION_UNITS[key])
        except Refused as refused:
            faults.append(Fault(f"{path}.{key}", str(refused)))
    try:
        on_lock = OnLock(read_choice(value.get("on_lock", on_lock.value), OnLock))
    except Refused as refused:
        faults.append(Fault(f"{path}.on_lock", str(refused)))
    try:
        whole_account = read_bool(value.get("whole_account", True))
    except Refused as refused:
        faults.append(Fault(f"{path}.whole_account", str(refused)))
    if len(faults) > before:
        return None
    if until is LockUntil.RESET and duration_ns is not None:
        faults.append(Fault(path, "has a duration but ends with the trading day; write until: duration"))
    if until is LockUntil.DURATION and not duration_ns:
        faults.append(Fault(path, "needs a duration above 0, such as duration: 30m"))
    return LockTerms(until=until, duration_ns=duration_ns, on_lock=on_lock, whole_account=whole_account)


def _read_until(value: object) -> tuple[LockUntil, int | None]:
    """When the lock ends; a duration may stand here by itself."""
    if value in _RESET:
        return LockUntil.RESET, None
    if value == "duration":
        return LockUntil.DURATION, None
    if value in ("permanent", "forever", "never"):
        raise Refused(
            "permanent is not offered: a lock without an end could only be lifted by editing the guard's memory; "
            "use reset (the end of the trading day) or a duration"
        )
    if value in ("condition", "until_condition"):
        raise Refused("this rule has no condition that could end the lock; use reset or a duration")
    try:
        return LockUntil.DURATION, read_duration(value, None)
    except Refused:
        raise Refused(f"must be reset or a duration such as 30m, not {shown(value)}") from None


def spelled_lock(terms: LockTerms | None) -> object:
    """What `read_lock` reads back."""
    if terms is None:
        return False
    spelled: dict[str, object] = {"until": terms.until.value}
    if terms.duration_ns is not None:
        spelled["duration_ms"] = terms.duration_ns // 1_000_000
    return {**spelled, "on_lock": terms.on_lock.value, "whole_account": terms.whole_account}
