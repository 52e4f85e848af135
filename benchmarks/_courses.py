"""The drawing of costs over time: a line for each policy and one for the optimum's total, a panel for each trace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import msgspec

from pymemos.operation.costs import DAY_S

PANEL, HEIGHT, LEFT, TOP, GAP, FOOT = 300, 240, 52, 56, 66, 62
INK, FAINT = "#1f2933", "#9aa3ad"
COLOURS = {
    "never": "#9aa3ad",
    "always": "#c2410c",
    "lru": "#2563eb",
    "lfu": "#7c3aed",
    "gdsf": "#b45309",
    "cost model": "#1a7f5a",
}
POINTS = 120  # of a line


class Panel(msgspec.Struct, frozen=True):
    """One trace: the course of each policy as (seconds of the trace, seconds spent), and the least possible."""

    title: str
    courses: Mapping[str, Sequence[tuple[float, float]]]
    least: float


def draw(panels: Sequence[Panel]) -> str:
    """The panels side by side, each to its own scale; what leaves a panel goes on above it."""
    width = LEFT + len(panels) * (PANEL + GAP)
    height = TOP + HEIGHT + FOOT
    body = [_text(LEFT, 22, "Seconds of compute that each policy has spent, as a trace goes on", 15)]
    for place, panel in enumerate(panels):
        body += _panel(panel, LEFT + place * (PANEL + GAP))
    for place, (name, colour) in enumerate(COLOURS.items()):
        x = LEFT + place * 120
        body.append(_line([(x, height - 14), (x + 20, height - 14)], colour, 3))
        body.append(_text(x + 26, height - 10, name, 12))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif" fill="{INK}">',
            f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
            *body,
            "</svg>\n",
        ]
    )


def _panel(panel: Panel, left: float) -> list[str]:
    end = max(course[-1][0] for course in panel.courses.values())
    # "never" is many times as dear as the rest, which it would press flat.
    most = 1.08 * max(course[-1][1] for name, course in panel.courses.items() if name != "never")

    def at(t: float, spent: float) -> tuple[float, float]:
        return left + PANEL * t / end, TOP + HEIGHT * (1 - spent / most)

    parts = [_text(left, TOP - 12, panel.title, 13)]
    parts += [_line([at(0, most), at(0, 0), at(end, 0)], FAINT, 1)]
    least = [at(0, panel.least), at(end, panel.least)]
    parts += [_line(least, INK, 1, dashed=True), _text(left + 6, least[0][1] - 5, "least possible", 11)]
    parts += [_text(left - 8, at(0, 0)[1], "0", 11, "end"), _text(left - 8, TOP + 8, f"{most:,.0f} s", 11, "end")]
    parts.append(_text(left + PANEL, TOP + HEIGHT + 18, f"day {end / DAY_S:,.0f}", 11, "end"))
    for name, course in panel.courses.items():
        inside = [point for point in course[:: max(1, len(course) // POINTS)] if point[1] <= most]
        if course[-1][1] <= most:
            inside.append(course[-1])
        ours = name == "cost model"
        parts.append(_line([at(*point) for point in inside], COLOURS.get(name, INK), 3 if ours else 1.6))
    return parts


def _line(points: Sequence[tuple[float, float]], colour: str, width: float, *, dashed: bool = False) -> str:
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    dash = ' stroke-dasharray="4 4"' if dashed else ""
    return f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="{width}"{dash}/>'


def _text(x: float, y: float, text: str, size: int, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}">{escape(text)}</text>'
