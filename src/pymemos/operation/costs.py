"""The cost model: what each form of a memory takes to make, to read and to keep, in seconds of this machine (5.4.2).

Times follow from a calibration, which is measured (``interface.calibrating``) and kept; nothing here knows a machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from pymemos.errors import InvalidInput

DAY_S = 86_400.0


class Form(StrEnum):
    """The forms that a memory can reach a model in (4.1): words in the prompt, keys and values, weights."""

    TEXT = "text"
    KV = "kv"
    ADAPTER = "adapter"


FORMS = tuple(Form)


class Timing(msgspec.Struct, frozen=True, gc=False):
    """What reading so many tokens took."""

    tokens: int
    seconds: float


class Calibration(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a machine does with a model: rates in seconds, tokens and bytes.

    Reading L tokens takes ``token_s·L + square_s·L²``: with N parameters, ``layers`` and width d that is the formula
    (2·N·L + 2·layers·d·L²)/throughput, whose two terms the measurement gives without knowing N, layers or d.
    ``adapter_measured`` says whether the figures of adapters were measured here or are those of ADR 0038.
    """

    model: str  # the engine that was measured
    measured: str  # when, as ISO 8601
    token_s: float  # of prefill, linear in the tokens
    square_s: float  # of prefill, with the square of the tokens
    decode_s: float  # one token of an answer
    kv_token_bytes: float  # keys and values of one token
    load_s: float  # one segment, whatever its length
    load_bytes_s: float  # bytes a second on top of it
    write_s: float
    write_bytes_s: float
    attach_s: float = 0.006  # an adapter that lies on the device
    train_token_s: float = 0.3  # one token of what an adapter learns
    train_s: float = 2.0  # one memory, whatever its length
    adapter_bytes: float = 500_000.0  # one memory's share of an adapter
    adapter_measured: bool = False
    timings: tuple[Timing, ...] = ()  # what the first two were fitted to

    def __post_init__(self) -> None:
        rates = (self.token_s, self.kv_token_bytes, self.load_bytes_s, self.write_bytes_s)
        rest = (self.square_s, self.decode_s, self.load_s, self.write_s, self.attach_s, self.train_token_s)
        if min(rates) <= 0 or min(rest) < 0:
            raise InvalidInput("a calibration has rates above zero and times of at least zero; measure it again")

    def prefill(self, tokens: float) -> float:
        """Seconds that reading so many tokens takes from an empty cache."""
        return tokens * (self.token_s + self.square_s * tokens)

    def load(self, tokens: float) -> float:
        """Seconds until the keys and values of so many tokens lie where the model computes."""
        return self.load_s + tokens * self.kv_token_bytes / self.load_bytes_s


class Prices(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is not measured but chosen: what room is worth, in seconds of compute, and what a question looks like."""

    byte_day_s: float = 1e-9  # a byte kept for a day: a KV cache that rests for about a hundred days costs a prefill
    window_token_s: float = 0.0  # a token of the model's window, each time it is taken
    question_tokens: int = 100  # read and written after the memories, which attend to them
    encodings: float = 1.0  # prefills that making a KV cache takes


DEFAULT_PRICES = Prices()


class FormCosts(msgspec.Struct, frozen=True, gc=False):
    """What one form takes: seconds to make it once, to read it once, to keep it for a day; and its bytes."""

    write_s: float
    read_s: float
    keep_day_s: float
    bytes: float


class Costs(msgspec.Struct, frozen=True, gc=False):
    """What a memory of so many tokens takes in each form; text is written already, and kept anyway."""

    tokens: int
    text: FormCosts
    kv: FormCosts
    adapter: FormCosts

    def of(self, form: Form) -> FormCosts:
        """What one of the forms takes."""
        return self.text if form is Form.TEXT else self.kv if form is Form.KV else self.adapter


def costs(tokens: int, of: Calibration, prices: Prices = DEFAULT_PRICES) -> Costs:
    """What a memory of so many tokens takes in each form, beside what the question alone takes."""
    question = prices.question_tokens
    window = prices.window_token_s * tokens
    attended = 2 * of.square_s * tokens * question  # the question looks back at the memory, read or injected
    kv_bytes = tokens * of.kv_token_bytes
    write = prices.encodings * of.prefill(tokens) + of.write_s + kv_bytes / of.write_bytes_s
    return Costs(
        tokens,
        FormCosts(0.0, of.prefill(tokens) + attended + window, 0.0, 0.0),
        FormCosts(write, of.load(tokens) + attended + window, kv_bytes * prices.byte_day_s, kv_bytes),
        FormCosts(
            of.train_s + of.train_token_s * tokens,
            of.attach_s,
            of.adapter_bytes * prices.byte_day_s,
            of.adapter_bytes,
        ),
    )


def fit_prefill(timings: Sequence[Timing]) -> tuple[float, float]:
    """Seconds a token and a token squared, by least squares of the relative errors; neither is below zero.

    Raises InvalidInput where the timings are of fewer than two lengths.
    """
    if len({one.tokens for one in timings}) < 2 or any(one.tokens < 1 or one.seconds <= 0 for one in timings):
        raise InvalidInput("a calibration needs timings above zero of at least two lengths")
    # Each timing t of L tokens asks for a·L/t + b·L²/t = 1.
    rows = [(one.tokens / one.seconds, one.tokens**2 / one.seconds) for one in timings]
    xx, xy, yy = (sum(row[i] * row[j] for row in rows) for i, j in ((0, 0), (0, 1), (1, 1)))
    x, y = (sum(row[i] for row in rows) for i in (0, 1))
    determinant = xx * yy - xy * xy
    token, square = (x * yy - y * xy) / determinant, (y * xx - x * xy) / determinant
    if square < 0:
        return x / xx, 0.0
    if token <= 0:
        raise InvalidInput("the timings grow faster than attention can; measure again when nothing else runs")
    return token, square


def fit_line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Seconds at no bytes, and bytes a second, of (bytes, seconds): the least squares line, neither below zero."""
    mean_x, mean_y = (sum(point[i] for point in points) / len(points) for i in (0, 1))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
    if slope <= 0 or mean_y - slope * mean_x < 0:  # noise: everything is for the bytes
        return 0.0, mean_x / mean_y
    return mean_y - slope * mean_x, 1 / slope
