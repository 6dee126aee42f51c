"""Text for a terminal."""

from collections.abc import Iterable, Sequence


def one_line(text: str) -> str:
    """The text with "?" for line breaks and control characters.

    Names of files and classes may hold them, and a terminal would obey them.
    """
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def abbreviated(names: Sequence[str]) -> str:
    """Names separated by commas; of more than 10, the first 8 and how many others there are."""
    if len(names) <= 10:
        return ", ".join(names)
    return f"{', '.join(names[:8])} and {len(names) - 8} more"


def counted(n: int, one: str, many: str | None = None) -> str:
    """A number with its noun: "1 image", "2 images". many: the plural where it is not `one` and an s."""
    return f"{n} {one if n == 1 else many or one + 's'}"


def percent(part: float, whole: float) -> str:
    """A share as text: "12.5 %"; "n/a" of nothing."""
    return f"{100 * part / whole:.1f} %" if whole else "n/a"


def text_table(rows: Iterable[Sequence[object]]) -> str:
    """Rows as lines with aligned columns, the first to the left, the others to the right."""
    texts = [[one_line(str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    lines = []
    for first, *others in texts:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]).rstrip())
    return "\n".join(lines)
