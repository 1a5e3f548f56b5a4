"""Bar charts as SVG, by hand: light and dark by the reader's preference, nothing loaded."""

import math
from html import escape

STYLE = """
.c-text{font:13px system-ui,sans-serif;fill:#1b1f24}.c-dim{fill:#59636e}
.c-us{fill:#0b6bcb}.c-us2{fill:#6aa9e9}.c-them{fill:#8a929b}.c-them2{fill:#c3c9d0}
.c-line{stroke:#59636e;stroke-width:1.5}.c-back{fill:#ffffff}.c-grid{stroke:#d8dee4}
@media (prefers-color-scheme:dark){.c-text{fill:#e6e8eb}.c-dim{fill:#9aa4af}
.c-us{fill:#4c9ff0}.c-us2{fill:#2a5f96}.c-them{fill:#7b848e}.c-them2{fill:#4d545c}
.c-line{stroke:#c9d1d9}.c-back{fill:#14171a}.c-grid{stroke:#33393f}}
"""

NAME_WIDTH, BAR_WIDTH, ROW, TOP, AXIS = 250, 400, 26, 54, 34


def bars(title, unit, rows, legend=("", "")):
    """Horizontal bars over an axis. A row: name, first part, second part (0: one part), low, high,
    ours, text. `low` and `high` are the quartiles of the whole, drawn as a line over its end.
    """
    rows = [row for row in rows if row["first"] is not None]
    if not rows:
        return ""
    most = max(max(row["first"] + row.get("second", 0), row.get("high") or 0) for row in rows)
    scale = BAR_WIDTH / most if most else 0
    height = TOP + ROW * len(rows) + AXIS
    width = NAME_WIDTH + BAR_WIDTH + 130
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
           f'width="{width}" height="{height}" role="img" aria-label="{escape(title)}">',
           f"<style>{STYLE}</style>",
           f'<rect class="c-back" width="{width}" height="{height}"/>',
           f'<text class="c-text" x="10" y="20" font-weight="600">{escape(title)}</text>']
    out += legend_of(unit, legend)
    out += axis(most, scale, TOP + ROW * len(rows))
    for index, row in enumerate(rows):
        out += one_row(row, TOP + ROW * index, scale)
    out.append("</svg>")
    return "\n".join(out)


def step_of(most):
    """The distance of two ticks: 1, 2 or 5 of a power of ten, three to six of them."""
    power = 10 ** math.floor(math.log10(most))
    return next(power * part for part in (0.2, 0.5, 1, 2) if most / (power * part) <= 6)


def axis(most, scale, bottom):
    out = []
    step = step_of(most) if most > 0 else 1
    for index in range(int(most / step) + 1):
        x = NAME_WIDTH + index * step * scale
        out += [f'<line class="c-grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 4}" '
                f'y2="{bottom + 2}"/>',
                f'<text class="c-text c-dim" x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">'
                f"{tick(index * step)}</text>"]
    return out


def tick(value):
    for size, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= 10 * size or value == size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def legend_of(unit, legend):
    """The unit, and what the two parts of a bar are."""
    out = [f'<text class="c-text c-dim" x="10" y="40">{escape(unit)}; the line is the middle half '
           "of the rounds</text>"]
    for index, part in enumerate(legend if legend[0] else ()):
        x = NAME_WIDTH + BAR_WIDTH - 30 + 70 * index
        out += [f'<rect class="c-us{"2" if index else ""}" x="{x}" y="10" width="10" height="10"/>',
                f'<text class="c-text c-dim" x="{x + 15}" y="20">{escape(part)}</text>']
    return out


def one_row(row, y, scale):
    whose = "us" if row.get("ours") else "them"
    first, second = row["first"] * scale, row.get("second", 0) * scale
    middle = y + ROW / 2 - 2
    out = [f'<text class="c-text" x="{NAME_WIDTH - 8}" y="{middle + 5:.0f}" text-anchor="end">'
           f'{escape(row["name"])}</text>',
           f'<rect class="c-{whose}" x="{NAME_WIDTH}" y="{y}" width="{first:.1f}" '
           f'height="{ROW - 6}"/>']
    if second:
        out.append(f'<rect class="c-{whose}2" x="{NAME_WIDTH + first:.1f}" y="{y}" '
                   f'width="{second:.1f}" height="{ROW - 6}"/>')
    end = first + second
    if row.get("low") is not None:
        low, high = row["low"] * scale, row["high"] * scale
        out.append(f'<line class="c-line" x1="{NAME_WIDTH + low:.1f}" '
                   f'x2="{NAME_WIDTH + high:.1f}" y1="{middle}" y2="{middle}"/>')
        end = max(end, high)
    out.append(f'<text class="c-text" x="{NAME_WIDTH + end + 8:.1f}" y="{middle + 5:.0f}">'
               f'{escape(row["text"])}</text>')
    return out
