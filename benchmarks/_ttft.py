"""The picture of the time to the first token against the length of the memory: a panel for each length of question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks._courses import FAINT, FOOT, GAP, HEIGHT, INK, LEFT, PANEL, TOP, _line, _text

WAYS = {"full": ("the whole prompt read", "#c2410c"), "injected": ("injected from a file", "#1a7f5a")}
RAM = ("the question behind a cache in memory", INK)
Seconds = Mapping[tuple[int, int], float]  # by the tokens of memory and of the question


def draw(ways: Mapping[str, Seconds], contexts: Sequence[int], queries: Sequence[int], note: str) -> str:
    """The panels side by side, on one scale."""
    most = 1.08 * max(ways["full"].values())
    width, height = LEFT + len(queries) * (PANEL + GAP), TOP + HEIGHT + FOOT
    body = [_text(LEFT, 22, f"Seconds to the first token, by the tokens of memory in the prompt ({note})", 15)]
    for place, query in enumerate(queries):
        left = LEFT + place * (PANEL + GAP)

        def at(tokens: float, seconds: float, left: float = left) -> tuple[float, float]:
            return left + PANEL * tokens / contexts[-1], TOP + HEIGHT * (1 - seconds / most)

        body.append(_text(left, TOP - 12, f"a question of {query} tokens", 13))
        body.append(_line([at(0, most), at(0, 0), at(contexts[-1], 0)], FAINT, 1))
        body.append(_text(left - 8, at(0, 0)[1], "0", 11, "end"))
        body.append(_text(left - 8, TOP + 8, f"{most:.0f} s", 11, "end"))
        body += [_text(at(one, 0)[0], TOP + HEIGHT + 16, f"{one:,}", 11, "middle") for one in contexts]
        for name, (_, colour) in WAYS.items():
            body.append(_line([at(one, ways[name][one, query]) for one in contexts], colour, 2.5))
        body.append(_line([at(one, ways["ram"][one, query]) for one in contexts], INK, 1.2, dashed=True))
    for place, (label, colour) in enumerate([*WAYS.values(), RAM]):
        x = LEFT + place * 240
        body.append(_line([(x, height - 14), (x + 20, height - 14)], colour, 2, dashed=colour == INK))
        body.append(_text(x + 26, height - 10, label, 12))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif" fill="{INK}">',
            f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
            *body,
            "</svg>\n",
        ]
    )
