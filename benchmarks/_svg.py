"""The drawing of the results: a lane for every figure to reach, on a log scale, with earlier runs as dots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from benchmarks.report import Report, Row

LANE, LABELS, SCALE, VALUES, MARGIN = 26, 210, 420, 340, 16
HEAD, FOOT = 74, 30
OCTAVES = 4  # each way: from sixteen times better than the reach to sixteen times worse
MET, MISSED, FAINT, INK = "#1a7f5a", "#c2410c", "#9aa3ad", "#1f2933"
WIDTH = MARGIN + LABELS + SCALE + VALUES + MARGIN


def draw(reports: Sequence[Report]) -> str:
    """All runs, oldest first, as one picture."""
    lanes = _lanes(reports)
    height = HEAD + LANE * len(lanes) + FOOT
    body = [*_frame(reports, height), *(part for place, lane in enumerate(lanes) for part in _lane(place, *lane))]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            f'viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif" font-size="13" fill="{INK}">',
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
            *body,
            "</svg>\n",
        ]
    )


def _lanes(reports: Sequence[Report]) -> list[tuple[str, list[Row]]]:
    """For each figure to reach of the latest run of its benchmark, its rows, oldest first."""
    latest = {report.name: report for report in reports}
    rows: dict[tuple[str, str], list[Row]] = {}
    for report in reports:
        for row in report.rows:
            rows.setdefault((report.name, row.metric), []).append(row)
    several = len(latest) > 1
    return [
        (f"{name}: {row.metric}" if several else row.metric, rows[name, row.metric])
        for name, report in latest.items()
        for row in report.rows
        if row.reach is not None
    ]


def _frame(reports: Sequence[Report], height: int) -> list[str]:
    latest = {report.name: report for report in reports}
    told = "; ".join(
        f"{one.name} at {one.commit} on {one.machine.get('platform')}, {one.machine.get('cpus')} CPUs, "
        f"Python {one.machine.get('python')}"
        for one in latest.values()
    )
    bottom = height - FOOT
    ticks = [2.0**n for n in range(-OCTAVES, OCTAVES + 1, 2)]
    parts = [
        _text(MARGIN, 24, "Benchmarks: figures and what they have to reach", size=16, weight="600"),
        _text(MARGIN, 43, told, colour=FAINT, size=11),
        _text(_x(1.0) - 14, HEAD - 8, "← better", anchor="end", colour=MET, size=11),
        _text(_x(1.0) + 14, HEAD - 8, "worse →", colour=MISSED, size=11),
        f'<rect x="{_x(1.0):.1f}" y="{HEAD}" width="{_x(99) - _x(1.0):.1f}" height="{bottom - HEAD}" fill="#fdf3ed"/>',
    ]
    for tick in ticks:
        colour, width = (INK, 1.5) if tick == 1 else ("#e3e7eb", 1.0)
        x = _x(tick)
        parts.append(f'<path d="M{x:.1f} {HEAD}V{bottom}" stroke="{colour}" stroke-width="{width}"/>')
        label = "reached" if tick == 1 else f"×{tick:g}" if tick > 1 else f"1/{1 / tick:g}"
        parts.append(_text(x, bottom + 18, label, anchor="middle", colour=INK if tick == 1 else FAINT, size=11))
    return parts


def _lane(place: int, label: str, rows: list[Row]) -> list[str]:
    *earlier, latest = rows
    y = HEAD + LANE * place + LANE / 2
    colour = MET if latest.met else MISSED
    x, middle = _x(latest.score or 0), _x(1.0)
    parts = [
        _text(MARGIN, y + 4.5, label),
        f'<path d="M{middle:.1f} {y:.1f}H{x:.1f}" stroke="{colour}" stroke-width="6" stroke-opacity="0.25"/>',
    ]
    parts += [
        f'<circle cx="{_x(row.score):.1f}" cy="{y:.1f}" r="2.5" fill="{FAINT}" fill-opacity="0.7"/>'
        for row in earlier
        if row.score is not None
    ]
    parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="{colour}" stroke="#ffffff" stroke-width="1.5"/>')
    unit = latest.unit if latest.unit[:1] == "×" else f" {latest.unit}"
    left = MARGIN + LABELS + SCALE + 22
    parts.append(_text(left, y + 4.5, "✓" if latest.met else "✗", colour=colour, weight="700"))
    parts.append(_text(left + 18, y + 4.5, f"{latest.value:g}{unit}", colour=colour, weight="600"))
    parts.append(_text(WIDTH - MARGIN, y + 4.5, latest.goal, anchor="end", colour="#5b6670"))
    return parts


def _x(score: float) -> float:
    """Where a value is drawn that is ``score`` times its reach."""
    octaves = max(-OCTAVES, min(OCTAVES, math.log2(max(score, 1e-9))))
    return MARGIN + LABELS + SCALE * (octaves + OCTAVES) / (2 * OCTAVES)


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", colour: str = INK, size: int = 13, weight: str = "400"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" font-size="{size}" '
        f'font-weight="{weight}">{escape(text)}</text>'
    )
