"""Where units of the network may be dropped in training."""

from typing import Protocol

import keras


class Drop(Protocol):
    """Drops units at a place of the network: each is set to 0 or scaled by 1 / (1 - rate), or stays as it is."""

    def __call__(
        self, place: str, units: keras.KerasTensor, *, tokens_BL: keras.KerasTensor | None = None, hop: int = 0
    ) -> keras.KerasTensor:
        """The units with some of them dropped; shape and dtype stay.

        Places, in the order in which the network comes to them:

            "words"   the embedded tokens of a table, B x L x E (or F); `tokens_BL` says of which words
            "keys"    what scores are products with, B x L x E
            "values"  what is read, B x L x E; with `tie = "all"` and nothing else that tells values from keys, they
                      are the keys as dropped, and this place is left out
            "read"    what hop k reads, o, B x T x E, with hop = k
            "map"     what the two-layer map adds to the state after hop k, B x T x E, with hop = k
            "state"   what the output table is multiplied with; without projections, before the factor's projection

        Args:
            place: one of these.
            units: what to drop from.
            tokens_BL: ids, at the place "words".
            hop: k, which of the K hops, where the place is one of a hop.
        """


def keep_all(
    place: str, units: keras.KerasTensor, *, tokens_BL: keras.KerasTensor | None = None, hop: int = 0
) -> keras.KerasTensor:
    """No dropout."""
    return units
