"""Calibration: a short measurement of what this machine does with a model, kept as a file so that it can be repeated.

It acts, so it is not in the operation layer; what follows from its figures is (``operation.costs``).
"""

from __future__ import annotations

import logging
import mmap
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from pymemos.cube.adapter import Recipe
from pymemos.cube.segment import SegmentAbout
from pymemos.errors import InvalidInput
from pymemos.interface.calibrating_adapters import measure_training
from pymemos.interface.training import SYSTEM
from pymemos.operation.costs import Calibration, Timing, fit_line, fit_prefill
from pymemos.operation.training_costs import with_adapters
from pymemos.ports import ChatOptions, Engine, Kv, Tuner, Utterance

LENGTHS = (32, 64, 128, 256, 512, 768)
REPEATS = 3  # the fastest counts: whatever else runs only makes it slower
ANSWER = 16  # tokens that are decoded
_TEXT = "The heron stood in the shallow water and waited. "
_LOGGER = logging.getLogger("pymemos")
_ABOUT = SegmentAbout(namespace="calibration")

Seconds = Callable[[], float]  # a clock that never goes back, such as time.perf_counter


def calibrate(
    engine: Engine,
    seconds: Seconds,
    now: datetime,
    *,
    lengths: Sequence[int] = LENGTHS,
    tuner: Tuner | None = None,
) -> Calibration:
    """Measure prefill at several lengths, loading and writing of segments, and decoding; takes about a minute on a CPU.

    With the engine's ``tuner`` adapters are measured too, which takes about as long again; without one their figures
    stay those of ADR 0038. Lengths beyond the model's window are left out. Raises InvalidInput where fewer than three
    are left.
    """
    window = engine.window or max(lengths)
    fitting = [length for length in lengths if length + ANSWER < window]
    if len(fitting) < 3:
        raise InvalidInput(f"the model's window of {window} tokens is too small to be calibrated; use another model")
    tokens = _tokens(engine, max(fitting))
    engine.prefill(tokens[: fitting[0]])  # the first one also pays for what is loaded lazily
    timings: list[Timing] = []
    segments: list[Kv] = []
    for length in fitting:
        taken, kv = _fastest(seconds, lambda length=length: engine.prefill(tokens[:length]))  # type: ignore[misc]
        timings.append(Timing(length, taken))
        segments.append(kv)
    begin_s, token_s, square_s = fit_prefill(timings)
    written, loaded = _through_files(engine, segments, seconds)
    write_s, write_bytes_s = fit_line(written)
    load_s, load_bytes_s = fit_line(loaded)
    found = Calibration(
        model=engine.identity,
        measured=now.isoformat(),
        begin_s=begin_s,
        token_s=token_s,
        square_s=square_s,
        decode_s=_decoding(engine, segments[0], seconds),
        kv_token_bytes=segments[-1].nbytes / fitting[-1],
        load_s=load_s,
        load_bytes_s=load_bytes_s,
        write_s=write_s,
        write_bytes_s=write_bytes_s,
        timings=tuple(timings),
    )
    if tuner is None:
        return found
    recipe, system = Recipe(), f"{SYSTEM} It is {now.isoformat()}."
    sample, shape = measure_training(engine, tuner, seconds, system=system, recipe=recipe)
    return with_adapters(found, sample, shape, recipe)


def calibration_file(cache_dir: Path, model: str) -> Path:
    """Where the calibration of a model is kept, below the folder of what can be made again."""
    return cache_dir / "calibration" / f"{re.sub(r'[^A-Za-z0-9._-]+', '-', model).strip('-')}.json"


def latest(cache_dir: Path) -> Calibration | None:
    """The calibration that was made last, of whatever model; None where there is none.

    One that cannot be read may be of a model that nobody uses any more: it is passed over with a warning.
    """
    found: list[Calibration] = []
    for file in sorted((cache_dir / "calibration").glob("*.json")):
        try:
            one = kept(file)
        except InvalidInput as error:
            _LOGGER.warning("a calibration is passed over: %s", error)
            continue
        if one is not None:
            found.append(one)
    return max(found, key=lambda one: one.measured, default=None)


def keep(calibration: Calibration, file: Path) -> None:
    """Write a calibration; the file is whole at every moment."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(calibration)) + b"\n")
    partial.replace(file)


def kept(file: Path) -> Calibration | None:
    """The calibration of a file; None where there is none. Raises InvalidInput where it cannot be read."""
    if not file.exists():
        return None
    try:
        return msgspec.json.decode(file.read_bytes(), type=Calibration)
    except msgspec.DecodeError as error:
        raise InvalidInput(
            f"{file} cannot be read ({error}); remove it, or run 'pymemos calibrate' again with its model"
        ) from error


def _tokens(engine: Engine, length: int) -> tuple[int, ...]:
    """So many tokens of plain text, from the beginning of a prompt."""
    repeats = 1
    while True:
        tokens = engine.prompt(_TEXT * repeats, (), [Utterance("user", "What did it do?")]).tokens
        if len(tokens) >= length:
            return tuple(tokens[:length])
        repeats *= 2


def _fastest(seconds: Seconds, act: Callable[[], Kv]) -> tuple[float, Kv]:
    """The least that an act took, and its last result."""
    least = float("inf")
    for _ in range(REPEATS):
        started = seconds()
        result = act()
        least = min(least, seconds() - started)
    return least, result


def _through_files(
    engine: Engine, segments: Sequence[Kv], seconds: Seconds
) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """(bytes, seconds) of writing each segment durably to a file, and of loading it from there."""
    written: list[tuple[float, float]] = []
    loaded: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        for number, kv in enumerate(segments):
            file = Path(folder) / f"{number}.safetensors"
            taken, _ = _fastest(seconds, lambda kv=kv, file=file: _write(engine, kv, file))  # type: ignore[misc]
            written.append((float(kv.nbytes), taken))
            taken, _ = _fastest(seconds, lambda kv=kv, file=file: _load(engine, kv, file))  # type: ignore[misc]
            loaded.append((float(kv.nbytes), taken))
    return written, loaded


def _write(engine: Engine, kv: Kv, file: Path) -> Kv:
    with file.open("wb") as target:
        shutil.copyfileobj(engine.dump(kv, _ABOUT), target)
        target.flush()
        os.fsync(target.fileno())
    return kv


def _load(engine: Engine, kv: Kv, file: Path) -> Kv:
    """The segment of a file where the model computes; the mapping ends when nothing of the segment lies in it."""
    with file.open("rb") as source:
        mapped = mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ)
    return engine.place(engine.load(memoryview(mapped), _ABOUT, kv.tokens, kv.start), on_device=True)


def _decoding(engine: Engine, prefix: Kv, seconds: Seconds) -> float:
    """Seconds that one token of an answer takes, less what beginning it takes."""
    rest = engine.cut(prefix, len(prefix.tokens) - 1)
    taken: list[float] = []
    for most in (1, ANSWER):
        least = float("inf")
        for _ in range(REPEATS):
            started = seconds()
            count = 0
            for piece in engine.run(prefix.tokens, ChatOptions(max_tokens=most), prefix=[rest]):
                count = piece.usage.completion if piece.usage else count
            least = min(least, (seconds() - started) / max(1, count))
        taken.append(least * max(1, count))
    return max(taken[1] - taken[0], 0.0) / (ANSWER - 1)
