"""The shape of `accounts.yaml` and `risk_config.yaml`, rules' own options excepted."""

import re
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from risk_manager.config.faults import shown, suggestion
from risk_manager.venues.projectx.settings import url_fault

_CLOCK_TIME = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]")
CLOCK_PATTERN = f"^{_CLOCK_TIME.pattern}$"
_LOOSE_TIME = re.compile(r"([0-9]{1,2})[:.]([0-9]{2})")
_ADDRESS = r"^[^@\s]+@[^@\s]+$"
_ROOT = re.compile(r"[A-Z0-9]{1,8}")
_LIKELY_ZONES = {
    **dict.fromkeys(("EST", "EDT", "ET", "US/EASTERN"), "America/New_York"),
    **dict.fromkeys(("CST", "CDT", "CT", "US/CENTRAL"), "America/Chicago"),
    **dict.fromkeys(("MST", "MDT", "MT"), "America/Denver"),
    **dict.fromkeys(("PST", "PDT", "PT"), "America/Los_Angeles"),
    **dict.fromkeys(("HST",), "Pacific/Honolulu"),
    **dict.fromkeys(("CET", "CEST", "MET"), "Europe/Berlin"),
    **dict.fromkeys(("GMT", "BST"), "Europe/London"),
}
"""Abbreviations people write for a zone. Some are zones of their own, but ones without daylight saving time."""


def refused(problem: str, instead: str = "") -> PydanticCustomError:
    """A fault in our words, for validators to raise."""
    return PydanticCustomError("refused", "{problem}", {"problem": problem, "instead": instead})


def _clock_time(value: object) -> object:
    """A reset time as text; numbers are what other YAML readers make of an unquoted time."""
    if isinstance(value, str) and _CLOCK_TIME.fullmatch(value):
        return value
    candidates: list[str] = []
    if isinstance(value, int) and not isinstance(value, bool):
        candidates = [f"{value // 60:02d}:{value % 60:02d}", f"{value // 100:02d}:{value % 100:02d}"]
    elif isinstance(value, float):
        candidates = [f"{int(value):02d}:{round(value % 1 * 100):02d}"] if 0 <= value < 24 else []
    elif isinstance(value, str) and (match := _LOOSE_TIME.fullmatch(value)):
        candidates = ["00:00"] if match[1] == "24" else [f"{int(match[1]):02d}:{match[2]}"]
    likely = [f'"{one}"' for one in dict.fromkeys(candidates) if _CLOCK_TIME.fullmatch(one)]
    raise refused(
        f"must be a quoted 24-hour time, not {shown(value)}",
        f"write {' or '.join(likely)}" if likely else 'write for example "17:00"',
    )


def _zone(name: str) -> str:
    likely = _LIKELY_ZONES.get(name.upper())
    if likely is not None:
        raise refused(f"{shown(name)} does not follow daylight saving time or is no zone's name", f"write {likely}")
    try:
        ZoneInfo(name)
    except (OSError, ValueError, LookupError) as error:
        zones = available_timezones()
        if not zones:
            raise refused("this computer has no time zone data", "install the tzdata package") from error
        near = suggestion(name, zones)
        instead = near if near.startswith("did") else "write an IANA name such as America/Chicago"
        raise refused(f"{shown(name)} is not a known time zone", instead) from error
    return name


def _url(text: str) -> str:
    problem = url_fault(text)
    if problem is not None:
        raise refused(f"{shown(text)} {problem}")
    return text


def _web_address(text: str) -> str:
    parts = urlsplit(text)
    is_local = parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1")
    if parts.hostname and (parts.scheme == "https" or is_local):
        return text
    raise refused("must begin with https:// and name a host; http only on this machine")


def _root(text: str) -> str:
    if _ROOT.fullmatch(text):
        return text
    upper = text.strip().upper()
    instead = f"write {upper}" if _ROOT.fullmatch(upper) else "write the product's letters, such as MNQ"
    raise refused(f"{shown(text)} is not the name of a product", instead)


ClockTime = Annotated[str, BeforeValidator(_clock_time), WithJsonSchema({"type": "string", "pattern": CLOCK_PATTERN})]
Zone = Annotated[str, AfterValidator(_zone)]
Url = Annotated[str, AfterValidator(_url)]
Root = Annotated[str, AfterValidator(_root), WithJsonSchema({"type": "string", "pattern": f"^{_ROOT.pattern}$"})]


class Section(BaseModel):
    """Unknown keys, wrong types and numbers that are none are faults, never guesses."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class VenueSection(Section):
    """Which gateway, and the products to watch quotes of besides those the accounts hold."""

    api_url: Url = "https://api.topstepx.com"
    user_hub_url: Url = "https://rtc.topstepx.com/hubs/user"
    market_hub_url: Url = "https://rtc.topstepx.com/hubs/market"
    instruments: list[Root] = Field(min_length=1, examples=["[MNQ, ES]"])


class AccountEntry(Section):
    """One guarded account, by id or by name."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["id"]}, {"required": ["name"]}]},
    )

    id: int | None = Field(default=None, gt=0, lt=1 << 53, examples=["123456"])
    name: str | None = Field(default=None, examples=["PRAC-V2-12345"])
    mode: Literal["enforce", "observe"] = Field(examples=["enforce (acts) or observe (only records)"])
    nickname: str | None = None

    @model_validator(mode="after")
    def _is_identified_once(self) -> Self:
        if (self.id is None) == (self.name is None):
            raise refused("an account needs either an id or a name", "write for example id: 123456")
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """What the account is called in the files: its id or name, and its nickname."""
        names = (None if self.id is None else str(self.id), self.name, self.nickname)
        return tuple(name for name in names if name is not None)


class ApiSection(Section):
    """The local interface the `trader` commands talk to; it listens on this machine only."""

    port: int = Field(default=27181, ge=1024, le=65535, examples=["27181"])


class MailSection(Section):
    """Where mails go, and through which relay; it must take them without a login."""

    to: str = Field(pattern=_ADDRESS, examples=["me@example.com"])
    sender: str = Field(pattern=_ADDRESS, examples=["guard@example.com"])
    host: str = Field(min_length=1, examples=["localhost"])
    port: int = Field(default=25, ge=1, le=65535)
    starttls: bool = True


class AnchorSection(Section):
    """Where the end of the journal is written down again and again, so that an earlier copy put back shows."""

    file: str | None = Field(default=None, min_length=1, examples=["/media/other-disk/risk-manager.anchors"])
    url: Annotated[str, AfterValidator(_web_address)] | None = Field(
        default=None, examples=["https://example.com/anchors"]
    )
    mail: MailSection | None = None

    @model_validator(mode="after")
    def _names_a_place(self) -> Self:
        if self.file is None and self.url is None and self.mail is None:
            raise refused("anchor names no place", "give it a file:, a url: or a mail:, or leave it out")
        return self


class RecorderSection(Section):
    """How much of what the guard received is kept for replays; the oldest trading day goes first."""

    days: int = Field(default=30, ge=1, le=3650)
    most_megabytes: int = Field(default=2048, ge=16, le=1_000_000)


class AccountsFile(Section):
    """`accounts.yaml`."""

    venue: VenueSection = Field(examples=["a section venue: with instruments: [MNQ, ES]"])
    accounts: list[AccountEntry] = Field(min_length=1, examples=["a list with - id: 123456 and mode: enforce"])
    api: ApiSection = ApiSection()
    data_dir: str = "../data"
    latch_dir: str | None = Field(default=None, min_length=1, examples=["/media/other-disk/risk-manager"])
    anchor: AnchorSection | None = None
    recorder: RecorderSection = RecorderSection()


class ResetSection(Section):
    """When the trading day begins."""

    time: ClockTime = "17:00"
    timezone: Zone = "America/Chicago"


class RiskFile(Section):
    """`risk_config.yaml`; what is inside a rule is the rule's own business."""

    reset: ResetSection = ResetSection()
    rules: dict[str, dict[str, Any]] = Field(min_length=1, examples=["a section rules: with daily_realized_loss:"])
    overrides: dict[str, dict[str, dict[str, Any]]] = {}
    custom_rules: list[str] = Field(default=[], examples=["[my_rule.py]"])
