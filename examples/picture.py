"""The picture of the twelve facts: for each step the time to the first word, and where the answers came from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from examples.twelve_facts import Step

WIDTH, LABELS, BAR, ROW, HEAD = 900, 150, 420, 46, 70
COLOURS = {
    "text": "#9aa3ad",
    "kv-disk": "#7cc4a8",
    "kv-host": "#3da57e",
    "kv-device": "#1a7f5a",
    "adapter": "#6d4bc3",
    "not found": "#c2410c",
}
INK, FAINT = "#1f2933", "#5c6670"


def draw(steps: Sequence[Step]) -> str:
    """All steps, from the first to the last, as an SVG."""
    longest = max(step.first_ms for step in steps)
    height = HEAD + ROW * len(steps) + 30
    rows = [part for place, step in enumerate(steps) for part in _row(HEAD + ROW * place, step, longest)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            f'viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif" font-size="13" fill="{INK}">',
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
            _text(16, 26, "Milliseconds to the first word, and from where the answers came", size=16, weight=600),
            *_legend({tier for step in steps for tier in step.tiers}),
            *rows,
            "</svg>\n",
        ]
    )


def _row(top: int, step: Step, longest: float) -> Iterator[str]:
    yield _text(16, top + 15, step.name, weight=600)
    yield _text(16, top + 31, f"day {step.day}", size=11, colour=FAINT)
    x, width = float(LABELS), BAR * step.first_ms / longest
    for tier, count in sorted(step.tiers.items(), key=lambda pair: list(COLOURS).index(pair[0])):
        part = width * count / step.asked
        yield f'<rect x="{x:.1f}" y="{top}" width="{part:.1f}" height="22" fill="{COLOURS[tier]}"/>'
        x += part
    told = f"{step.first_ms:.0f} ms, {step.read:.0f} tokens read, {step.right} of {step.asked} right"
    yield _text(x + 8, top + 16, told)
    yield _text(LABELS, top + 37, step.why if len(step.why) < 110 else f"{step.why[:107]}…", size=11, colour=FAINT)


def _legend(tiers: set[str]) -> Iterator[str]:
    x = LABELS
    for tier in (tier for tier in COLOURS if tier in tiers):
        yield f'<rect x="{x}" y="40" width="12" height="12" fill="{COLOURS[tier]}"/>'
        yield _text(x + 18, 51, tier, size=12)
        x += 110


def _text(x: float, y: float, text: str, *, size: int = 13, weight: int = 400, colour: str = INK) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" fill="{colour}">{escape(text)}</text>'
    )
