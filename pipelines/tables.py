"""Tables of plain text."""

from collections.abc import Sequence
from datetime import datetime

_GAP = "  "


def text_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Heads and rows in columns as wide as they need; a column that is empty throughout is left out."""
    kept = [column for column in range(len(heads)) if heads[column] == "" or any(row[column] for row in rows)]
    return aligned([[line[column] for column in kept] for line in (heads, *rows)])


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """The lines' cells in columns as wide as they need; "" for no lines."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        _GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def shown_time(time: datetime | None) -> str:
    """A time as people here read it; "" for none."""
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S") if time else ""
