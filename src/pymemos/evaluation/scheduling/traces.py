"""Traces of use: what was read and changed when, as JSON Lines, and a generator of them.

A line is ``{"t": seconds, "cube": "m17", "op": "use", "tokens": 40}``; ``op`` is ``use``, ``update`` or ``erase``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Literal

import msgspec

from pymemos.errors import InvalidInput
from pymemos.operation.costs import DAY_S


class Event(msgspec.Struct, frozen=True, gc=False):
    """What happened to one memory, ``t`` seconds after the trace began; ``tokens`` is its length from then on."""

    t: float
    cube: str
    op: Literal["use", "update", "erase"]
    tokens: int


def read(path: Path) -> list[Event]:
    """The events of a file, which have to be in order. Raises InvalidInput, which names the line."""
    decoder = msgspec.json.Decoder(Event)
    events: list[Event] = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            event = decoder.decode(line)
        except msgspec.DecodeError as error:
            raise InvalidInput(f"{path.name}, line {number}: {error}; a line is {_EXAMPLE}") from error
        if event.tokens < 1 or (events and event.t < events[-1].t):
            raise InvalidInput(f"{path.name}, line {number}: times may not go back, and a memory has tokens")
        events.append(event)
    if not events:
        raise InvalidInput(f"{path.name} has no events; a line is {_EXAMPLE}")
    return events


def write(path: Path, events: Iterable[Event]) -> None:
    """Keep events as JSON Lines."""
    path.write_bytes(b"".join(msgspec.json.encode(event) + b"\n" for event in events))


_EXAMPLE = '{"t": 3600, "cube": "m17", "op": "use", "tokens": 40}'


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What a generated trace is like."""

    days: int = 60
    cubes: int = 60
    uses: int = 5_400  # about
    zipf: float = 1.1  # how unequal the memories are
    late: float = 0.5  # share of the memories that come during the trace
    bursts: float = 0.3  # share of the memories that are used several times within minutes
    burst: float = 6.0  # uses in a burst
    drift: float = 0.02  # share of the memories that change places in popularity each day
    phases: int = 1  # topics, one of which is of interest at a time, twice each
    slow: float = 0.2  # share that changes now and then
    slow_days: float = 10.0
    volatile: float = 0.1  # share that changes by being used
    volatile_uses: float = 3.0
    erased: float = 0.03


SHAPES = {
    "steady": Shape(drift=0.0, bursts=0.0),
    "bursts": Shape(bursts=0.8, burst=8.0, drift=0.01),
    "phases": Shape(phases=4, drift=0.03),
    "mixed": Shape(phases=3),
}


class _Cube(msgspec.Struct):
    name: str
    tokens: int
    popularity: float
    born: float  # days
    dies: float
    bursty: bool
    topic: int
    every_days: float  # between changes that come by themselves
    by_use: float  # chance that a use changes it


def generate(seed: int, shape: Shape = Shape()) -> list[Event]:  # noqa: B008 (frozen)
    """A trace of Zipf popularity, bursts, drift, phases, updates and erasures; the same seed gives the same trace.

    A memory is in it from its first use on.
    """
    random = Random(seed)  # noqa: S311 (it has to be repeatable, not secret)
    cubes = _cubes(random, shape)
    times = [
        *(event for cube in cubes for event in _by_itself(random, cube, shape)),
        *(event for day in range(shape.days) for event in _day(random, cubes, shape, day)),
    ]
    known: set[str] = set()
    events: list[Event] = []
    for day, op, cube in sorted(times, key=lambda one: one[0]):
        if op == "use":
            known.add(cube.name)
        if cube.name in known and (day < cube.dies or op == "erase"):
            events.append(Event(round(day * DAY_S), cube.name, op, cube.tokens))
    return events


_Timed = tuple[float, Literal["use", "update", "erase"], _Cube]


def _cubes(random: Random, shape: Shape) -> list[_Cube]:
    ranks = list(range(1, shape.cubes + 1))
    random.shuffle(ranks)
    return [_cube(random, shape, number, rank) for number, rank in enumerate(ranks)]


def _cube(random: Random, shape: Shape, number: int, rank: int) -> _Cube:
    kind = random.random()
    born = random.random() * shape.days * 0.9 if random.random() < shape.late else 0.0
    slow, volatile = kind < shape.slow, 0 <= kind - shape.slow < shape.volatile
    lives = (shape.days - born) * (0.5 + random.random() / 2)
    return _Cube(
        name=f"m{number}",
        tokens=int(min(1_200, max(8, random.lognormvariate(math.log(40), 0.8)))),
        popularity=rank**-shape.zipf,
        born=born,
        dies=born + lives if random.random() < shape.erased else math.inf,
        bursty=random.random() < shape.bursts,
        topic=random.randrange(shape.phases),
        every_days=shape.slow_days if slow else math.inf,
        by_use=1 / shape.volatile_uses if volatile else 0.0,
    )


def _by_itself(random: Random, cube: _Cube, shape: Shape) -> Iterator[_Timed]:
    """The changes of a memory that nobody's use brings about, and its end."""
    if cube.dies < shape.days:
        yield cube.dies, "erase", cube
    day = cube.born
    while math.isfinite(cube.every_days):
        day += random.expovariate(1 / cube.every_days)
        if day >= shape.days:
            return
        yield day, "update", cube


def _day(random: Random, cubes: list[_Cube], shape: Shape, day: int) -> Iterator[_Timed]:
    """The uses of one day, and the changes that they bring about; popularity drifts before."""
    for _ in range(int(len(cubes) * shape.drift)):
        one, other = random.choice(cubes), random.choice(cubes)
        one.popularity, other.popularity = other.popularity, one.popularity
    phase = day * 2 * shape.phases // shape.days % shape.phases
    alive = [cube for cube in cubes if cube.born < day + 1 and cube.dies > day]
    weights = [cube.popularity * (1.0 if cube.topic == phase else 0.02) for cube in alive]
    # A burst is picked as seldom as it has many uses, so that popularity is a share of uses.
    weights = [weight / shape.burst if cube.bursty else weight for weight, cube in zip(weights, alive, strict=True)]
    wanted = shape.uses / shape.days * (0.5 + random.random())
    while wanted > 0:
        cube = random.choices(alive, weights)[0]
        at = day + random.random()
        for _ in range(1 + round(random.expovariate(1 / (shape.burst - 1))) if cube.bursty else 1):
            wanted -= 1
            if cube.born <= at < shape.days:
                yield at, "use", cube
                if random.random() < cube.by_use:
                    yield at + random.expovariate(1 / 600) / DAY_S, "update", cube
            at += random.expovariate(1 / 300) / DAY_S


def by_cube(events: Sequence[Event]) -> dict[str, list[Event]]:
    """The events of each memory, in order."""
    found: dict[str, list[Event]] = {}
    for event in events:
        found.setdefault(event.cube, []).append(event)
    return found
