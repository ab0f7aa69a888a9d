"""The journal's tables, as numbered migrations.

`PRAGMA user_version` counts the migrations a file has been through. A migration that has shipped is never edited:
a new one is appended. Bodies are the JSON of the domain values, so a row read years later still says everything;
the columns beside them exist only to find rows.

No CHECK here can refuse what the engine decides about the market (a lockout that ends before it was set is odd, but
refusing it would refuse the whole decision): constraints guard against bugs of this room alone. The tables written on
the way to an enforcement carry no index beyond their key, because each one costs every commit a page; finding the few
open rows by a scan, once at start, costs milliseconds.
"""

APPLICATION_ID = 0x5249534B
"""Marks the file as ours in its header ("RISK")."""

_DECISIONS = """
CREATE TABLE decisions (
    account_id TEXT NOT NULL,
    sequence INTEGER NOT NULL CHECK (sequence > 0),
    trading_day TEXT NOT NULL,
    at_ns INTEGER NOT NULL,
    received_ns INTEGER NOT NULL,
    cause TEXT NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (account_id, sequence)
) STRICT
"""

_INTENTS = """
CREATE TABLE intents (
    account_id TEXT NOT NULL,
    id TEXT NOT NULL,
    trading_day TEXT NOT NULL,
    state TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (account_id, id)
) STRICT
"""

_LOCKOUTS = """
CREATE TABLE lockouts (
    account_id TEXT NOT NULL,
    scope TEXT NOT NULL,
    rule TEXT NOT NULL,
    is_active INTEGER NOT NULL CHECK (is_active IN (0, 1)),
    until_ns INTEGER,
    sequence INTEGER NOT NULL,
    body TEXT NOT NULL,
    released_ns INTEGER,
    release_reason TEXT,
    UNIQUE (account_id, scope, rule),
    CHECK ((released_ns IS NULL) = (is_active = 1)),
    CHECK ((release_reason IS NULL) = (is_active = 1))
) STRICT
"""

_FILLS = """
CREATE TABLE fills (
    account_id TEXT NOT NULL,
    fill_id TEXT NOT NULL,
    trading_day TEXT NOT NULL,
    at_ns INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (account_id, fill_id)
) STRICT, WITHOUT ROWID
"""

_SNAPSHOTS = """
CREATE TABLE snapshots (
    account_id TEXT NOT NULL PRIMARY KEY,
    trading_day TEXT NOT NULL,
    body BLOB NOT NULL
) STRICT
"""

_FOLDED = """
CREATE TABLE folded (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    up_to INTEGER NOT NULL
) STRICT
"""

_GAPS = """
CREATE TABLE gaps (
    account_id TEXT NOT NULL,
    began_ns INTEGER NOT NULL,
    ended_ns INTEGER CHECK (ended_ns >= began_ns),
    cover TEXT NOT NULL,
    cause TEXT NOT NULL,
    PRIMARY KEY (account_id, began_ns)
) STRICT, WITHOUT ROWID
"""

_TOTALS = """
CREATE TABLE totals (
    name TEXT NOT NULL PRIMARY KEY,
    rows INTEGER NOT NULL,
    digest BLOB NOT NULL,
    signature BLOB NOT NULL
) STRICT
"""

_ENFORCEMENTS = """
CREATE TABLE enforcements (
    id TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL,
    trading_day TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID
"""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        _DECISIONS,
        _INTENTS,
        _LOCKOUTS,
        _FILLS,
        "CREATE INDEX fills_by_day ON fills (account_id, trading_day)",
        _SNAPSHOTS,
    ),
    (_FOLDED, "INSERT INTO folded SELECT 1, coalesce(max(rowid), 0) FROM decisions"),
    (_GAPS,),
    ("ALTER TABLE decisions ADD COLUMN seal BLOB CHECK (length(seal) = 32)", _TOTALS),
    (_ENFORCEMENTS,),
)
