"""From the trader's spelling of a rule's options to the rule, and back.

This is the border of the core: dollars, seconds and words come in, integers in micros and nanoseconds go on.
What may be written follows from the fields of the rule's settings alone:

| field                      | option                          | written as                                            |
|----------------------------|---------------------------------|-------------------------------------------------------|
| `limit_micros: int`        | `limit`                         | dollars: `500`, `499.99`, `"499.99"`                  |
| the same with `Meta(gt=0)` | `limit`                         | a magnitude: `-500` and `500` mean the same; never 0  |
| `x_ns: int`                | `x_seconds`, or `x_ms`, or `x`  | a number, or `90s`, `30m`, `1h`, `250ms`              |
| `lockout: LockTerms, None` | `lockout`                       | `true`, `false`, `reset`, `30m`, or a mapping         |
| a `StrEnum`                | its name                        | one of its values                                     |
| `int`, `bool`, `str`       | its name                        | a whole number, `true` or `false`, text               |
| `tuple[X, ...]`, `Mapping` | its name                        | a list, a mapping                                     |
| a `Struct`                 | its name                        | a mapping of its own options                          |
| a `Schedule`               | its name                        | `exchange`, or a mapping, see `schedule.py`           |

A rule class may add, all optional: `aliases` (other spelling to option), `elsewhere` (option to where it is set),
`modernized(options, faults)` (rewrites spellings of other programs), `linked(own, others)` (takes values from other
rules' options), `contradictions(self)` (what types cannot say), `example` (options to show; needed if any is required).
"""

from risk_manager.rules._options.build import Option, build_rule, describe, options_of
from risk_manager.rules._options.faults import ALERT_LOCKS, Fault, OptionsInvalid
from risk_manager.rules._options.fields import nearest
from risk_manager.rules._options.values import dollars_text

__all__ = [
    "ALERT_LOCKS",
    "Fault",
    "Option",
    "OptionsInvalid",
    "build_rule",
    "describe",
    "dollars_text",
    "nearest",
    "options_of",
]
