"""A product with its arithmetic."""

import msgspec

MICROS_PER_USD = 1_000_000
NANOS_PER_UNIT = 1_000_000_000


class Instrument(msgspec.Struct, frozen=True, gc=False):
    """A futures product.

    Attributes:
        root: the product as traders write it (`ES`, `MNQ`), upper case.
        tick_size_nanos: least price step in 1e-9 price units (0.25 is 250_000_000); exact for every CME product.
        tick_value_micros: value of one tick of one contract in 1e-6 USD (12.50 USD is 12_500_000).
        aliases: other names of the product, upper case (`EP` for `ES`: the venue's own root).
    """

    root: str
    tick_size_nanos: int
    tick_value_micros: int
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert self.tick_size_nanos > 0, self
        assert self.tick_value_micros > 0, self

    def is_called(self, symbol: str) -> bool:
        """Whether `symbol` (any case) names this product."""
        upper = symbol.upper()
        return upper == self.root or upper in self.aliases
