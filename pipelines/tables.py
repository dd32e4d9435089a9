"""Tables of plain text."""

from collections.abc import Sequence

_GAP = "  "


def text_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Heads and rows in columns as wide as they need; a column that is empty throughout is left out."""
    kept = [column for column in range(len(heads)) if heads[column] == "" or any(row[column] for row in rows)]
    cells = [[line[column] for column in kept] for line in (heads, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        _GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )
