"""Which product names mean the same product, as far as that is known before the venue has said so.

The venue's contract record is the authority (`Instrument.is_called`). This table only catches two names of one product
in a configuration, and reads the id of a contract the venue has not described yet. A product that is not in it spells
itself as traders do, like most. Source: ProjectX contract catalogue (`live: false`), August 2026.
"""

import re

_VENUE_ROOTS = {
    "EP": "ES",
    "ENQ": "NQ",
    "CLE": "CL",
    "MCLE": "MCL",
    "NQM": "QM",
    "NGE": "NG",
    "NQG": "QG",
    "RBE": "RB",
    "HOE": "HO",
    "GCE": "GC",
    "SIE": "SI",
    "CPE": "HG",
    "PLE": "PL",
    "EU6": "6E",
    "EEU": "E7",
    "BP6": "6B",
    "CA6": "6C",
    "DA6": "6A",
    "JY6": "6J",
    "SF6": "6S",
    "MX6": "6M",
    "NE6": "6N",
    "TYA": "ZN",
    "TNA": "TN",
    "FVA": "ZF",
    "TUA": "ZT",
    "USA": "ZB",
    "ULA": "UB",
    "ZCE": "ZC",
    "ZSE": "ZS",
    "ZWA": "ZW",
    "ZME": "ZM",
    "ZLE": "ZL",
    "GLE": "LE",
    "GMET": "MET",
}
_DATED = re.compile(r"([A-Z0-9]*[A-Z][A-Z0-9]*)[FGHJKMNQUVXZ](?:[0-9]{1,2}|20[0-9]{2})")
_VENUE_ID = re.compile(r"(?:CON\.)?F\.[A-Z]+\.([A-Z0-9]+)(?:\.[A-Z0-9]+)?")


def same_product(symbol: str) -> str:
    """One name per product, upper case: `ep`, `EP` and `ES` all give `ES`; a name that is not known gives itself."""
    upper = symbol.upper()
    return _VENUE_ROOTS.get(upper, upper)


def spelled_roots(contract_id: str) -> frozenset[str]:
    """Every product an id or a contract's name may be about, upper case.

    `CON.F.US.EP.H24` is about EP, which is ES; `ESH4` may be about a product ESH4 or about ES, never about MES; of an
    id of another form every part may be the product.
    """
    upper = contract_id.upper()
    venue_id = _VENUE_ID.fullmatch(upper)
    parts = [venue_id[1]] if venue_id else [part for part in re.split(r"[^A-Z0-9]+", upper) if part]
    undated = [match[1] for part in parts if (match := _DATED.fullmatch(part))]
    return frozenset(name for part in (*parts, *undated) for name in (part, same_product(part)))
