"""One dated listing of an instrument: what orders and positions name."""

import msgspec

from risk_manager.domain.instrument import Instrument


class Contract(msgspec.Struct, frozen=True, gc=False):
    """A contract as the venue lists it.

    Attributes:
        id: the venue's id (`CON.F.US.EP.H24`); opaque, never built by us.
        name: the exchange name (`ESH4`).
        symbol_id: the venue's product id (`F.US.EP`).
        instrument: the product's arithmetic.
        is_active: the venue's current listing of the product.
    """

    id: str
    name: str
    symbol_id: str
    instrument: Instrument
    is_active: bool = True

    @property
    def root(self) -> str:
        """The product as traders write it (`ES`)."""
        return self.instrument.root
