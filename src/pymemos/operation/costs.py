"""The cost model: what each form of a memory takes to make, to read and to keep, in seconds of this machine (5.4.2).

Times follow from a calibration, which is measured (``interface.calibrating``) and kept; nothing here knows a machine.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import StrEnum
from operator import mul

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

    Reading L tokens takes ``begin_s + token_s·L + square_s·L²``: with N parameters, ``layers`` and width d the last two
    are (2·N·L + 2·layers·d·L²)/throughput, which the measurement gives without knowing N, layers or d.
    ``adapter_measured`` says whether the figures of adapters were measured here or are those of ADR 0038, which hold
    where the model cannot learn, and in files of before they were measured.
    """

    model: str  # the engine that was measured
    measured: str  # when, as ISO 8601
    begin_s: float  # of prefill, whatever the tokens: the question pays it, with or without memories
    token_s: float  # linear in the tokens
    square_s: float  # with their square
    decode_s: float  # one token of an answer
    kv_token_bytes: float  # keys and values of one token
    load_s: float  # one segment, whatever its length
    load_bytes_s: float  # bytes a second on top of it
    write_s: float
    write_bytes_s: float
    attach_s: float = 0.006  # what a pass takes longer with an adapter that lies on the device
    train_token_s: float = 0.3  # one token of what an adapter learns
    train_s: float = 2.0  # one memory's share of what any training takes, whatever its length
    adapter_bytes: float = 500_000.0  # one memory's share of an adapter
    adapter_measured: bool = False
    training_s: float = 0.0  # where it was measured: a whole training of ten facts, and its admission test
    timings: tuple[Timing, ...] = ()  # what the first three were fitted to

    def __post_init__(self) -> None:
        rates = (self.token_s, self.kv_token_bytes, self.load_bytes_s, self.write_bytes_s)
        rest = (
            self.begin_s,
            self.square_s,
            self.decode_s,
            self.load_s,
            self.write_s,
            self.attach_s,
            self.train_token_s,
            self.train_s,
            self.training_s,
        )
        if min(rates) <= 0 or min(rest) < 0:
            raise InvalidInput("a calibration has rates above zero and times of at least zero; measure it again")

    def prefill(self, tokens: float) -> float:
        """Seconds that so many tokens more take to read, beside those that are read anyway."""
        return tokens * (self.token_s + self.square_s * tokens)

    def load(self, tokens: float) -> float:
        """Seconds until the keys and values of so many tokens lie where the model computes."""
        return self.load_s + tokens * self.kv_token_bytes / self.load_bytes_s


# Where nothing was measured a plan counts tokens: each as a millisecond, and nothing else as anything.
UNMEASURED = Calibration(
    model="",
    measured="",
    begin_s=0.0,
    token_s=1e-3,
    square_s=0.0,
    decode_s=0.0,
    kv_token_bytes=1.0,
    load_s=0.0,
    load_bytes_s=1e12,
    write_s=0.0,
    write_bytes_s=1e12,
)


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
    adapter_measured: bool = True  # else what an adapter takes is assumed

    def of(self, form: Form) -> FormCosts:
        """What one of the forms takes."""
        return self.text if form is Form.TEXT else self.kv if form is Form.KV else self.adapter


_TEXT, _KV, _ADAPTER = Form.TEXT, Form.KV, Form.ADAPTER  # to name a member of an enum takes its time


class Reading:
    """Seconds that reading a memory takes, and bytes on the device: what a plan asks a thousand times."""

    def __init__(self, of: Calibration, prices: Prices = DEFAULT_PRICES) -> None:
        self._token_s, self._square_s = of.token_s, of.square_s
        # The question looks back at the memory, whether that was read or injected.
        self._either_s = 2 * of.square_s * prices.question_tokens + prices.window_token_s
        self._load_s, self._load_token_s = of.load_s, of.kv_token_bytes / of.load_bytes_s
        self._kv_token_bytes, self._attach_s, self._adapter_bytes = of.kv_token_bytes, of.attach_s, of.adapter_bytes

    def seconds(self, form: Form, tokens: int) -> float:
        """What reading so many tokens takes in a form, beside what the question alone takes."""
        if form is Form.TEXT:
            return tokens * (self._token_s + self._square_s * tokens + self._either_s)
        if form is Form.KV:
            return self._load_s + tokens * (self._load_token_s + self._either_s)
        return self._attach_s

    def fastest(self, forms: Collection[Form], tokens: int) -> tuple[Form, float]:
        """The form that is read fastest, of text and of those that lie ready, and the seconds that it takes."""
        form, least = _TEXT, tokens * (self._token_s + self._square_s * tokens + self._either_s)
        if not forms:
            return form, least
        if _KV in forms:
            taken = self._load_s + tokens * (self._load_token_s + self._either_s)
            if taken < least:
                form, least = _KV, taken
        if _ADAPTER in forms and self._attach_s < least:
            form, least = _ADAPTER, self._attach_s
        return form, least

    def bytes(self, form: Form, tokens: int) -> float:
        """What a form takes of the device."""
        return 0.0 if form is Form.TEXT else tokens * self._kv_token_bytes if form is Form.KV else self._adapter_bytes


def costs(tokens: int, of: Calibration, prices: Prices = DEFAULT_PRICES) -> Costs:
    """What a memory of so many tokens takes in each form; text is written already, and kept anyway."""
    reading = Reading(of, prices)
    kv_bytes = reading.bytes(Form.KV, tokens)
    encode = prices.encodings * (of.begin_s + of.prefill(tokens))
    written = {
        Form.TEXT: 0.0,
        Form.KV: encode + of.write_s + kv_bytes / of.write_bytes_s,
        Form.ADAPTER: of.train_s + of.train_token_s * tokens,
    }

    def one(form: Form) -> FormCosts:
        size = reading.bytes(form, tokens)
        return FormCosts(written[form], reading.seconds(form, tokens), size * prices.byte_day_s, size)

    return Costs(tokens, one(Form.TEXT), one(Form.KV), one(Form.ADAPTER), of.adapter_measured)


def fit_prefill(timings: Sequence[Timing]) -> tuple[float, float, float]:
    """Seconds at no tokens, a token, and a token squared, by least squares of the relative errors; none below zero.

    Raises InvalidInput where the timings are of fewer than three lengths, or do not grow with them.
    """
    if len({one.tokens for one in timings}) < 3 or any(one.tokens < 1 or one.seconds <= 0 for one in timings):
        raise InvalidInput("a calibration needs timings above zero of at least three lengths")
    # Each timing t of L tokens asks for (begin + token·L + square·L²) / t = 1.
    rows = [[one.tokens**power / one.seconds for power in range(3)] for one in timings]
    fits = [fit for powers in _POWERS if (fit := _least_squares(rows, powers)) and min(fit) >= 0 and fit[1] > 0]
    if not fits:
        raise InvalidInput("reading more tokens took no longer; measure again when nothing else runs")
    return min(fits, key=lambda fit: sum((sum(map(mul, row, fit)) - 1) ** 2 for row in rows))


_POWERS = ((0, 1, 2), (0, 1), (1, 2), (1,))  # the terms that may have to be left out, since noise makes them negative


def _least_squares(rows: Sequence[Sequence[float]], powers: Sequence[int]) -> tuple[float, float, float] | None:
    """The coefficients of the terms named, the others 0, by the normal equations; None where they have no solution."""
    size = len(powers)
    table = [[sum(row[i] * row[j] for row in rows) for j in powers] + [sum(row[i] for row in rows)] for i in powers]
    for pivot in range(size):
        best = max(range(pivot, size), key=lambda row, pivot=pivot: abs(table[row][pivot]))  # type: ignore[misc]
        table[pivot], table[best] = table[best], table[pivot]
        if abs(table[pivot][pivot]) < 1e-12:
            return None
        for row in range(size):
            if row != pivot:
                factor = table[row][pivot] / table[pivot][pivot]
                table[row] = [x - factor * y for x, y in zip(table[row], table[pivot], strict=True)]
    found = {power: table[place][size] / table[place][place] for place, power in enumerate(powers)}
    return found.get(0, 0.0), found.get(1, 0.0), found.get(2, 0.0)


def fit_line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Seconds at no bytes, and bytes a second, of (bytes, seconds): the least squares line, neither below zero."""
    mean_x, mean_y = (sum(point[i] for point in points) / len(points) for i in (0, 1))
    if mean_y <= 0:
        raise InvalidInput("nothing took any time; measure with a finer clock")
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
    if slope <= 0 or mean_y - slope * mean_x < 0:  # noise: everything is for the bytes
        return 0.0, mean_x / mean_y
    return mean_y - slope * mean_x, 1 / slope
