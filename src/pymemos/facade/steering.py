"""Steering: what tells two kinds of text apart inside a model, kept as a memory and added as it answers (4.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pymemos.cube.cube import MemCube, Parent
from pymemos.cube.payload import Activation
from pymemos.cube.steering import Effect, SteeringItem
from pymemos.errors import InvalidInput, ModelError
from pymemos.facade.handle import Handle
from pymemos.interface.activation import NO_ENGINE
from pymemos.interface.arguments import check_id, check_ids, check_name, check_text, parse_labels, parse_parents
from pymemos.interface.steering import STEERING, KeepSteering, Steered, Steering, UseSteering
from pymemos.operation.replies import read_by
from pymemos.ports import Engine, SteeringUse

STRONGEST = 10.0  # times the scale that a vector was made with; beyond it a model says nothing that makes sense


class SteeringMemory(Handle):
    """The methods of steering vectors; they need a local model."""

    def steer_from(
        self,
        pairs: Sequence[tuple[str, str]],
        *,
        name: str | None = None,
        layers: Sequence[int] | None = None,
        scales: Sequence[float] | None = None,
        parents: Sequence[str | MemCube | Parent] = (),
        tags: Sequence[str] | None = None,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        session_id: str | None = None,
    ) -> Steered:
        """Make a vector of pairs, each a text as wanted and its contrast, and keep it as an activation memory.

        Every third pair is held out, to choose among ``layers`` and ``scales`` (by default a few of each) what moves
        the model most towards the wanted texts without making them unlikely. The texts are not kept; ``parents`` are
        the memories that they were taken from, and when one of these changes, the vector is stale.
        """
        texts = [_pair(pair, limit=self._settings.text_limit) for pair in _several(pairs, "pairs")]
        places = None if layers is None else [_layer(one) for one in _several(layers, "layers")]
        strengths = None if scales is None else [_strength(one, "scales") for one in _several(scales, "scales")]
        labels = parse_labels(tags=tags, metadata=None if name is None else {"name": check_name(name, "name")})
        pins = parse_parents(parents)
        who = self._bind(user_id, agent_id, run_id, session_id)
        engine = self._engine()
        made = engine.make_steering(texts, layers=places, scales=strengths)
        blob, size = self._tools.blobs.put(made.file)
        payload = Activation(
            form=STEERING, blob=blob, size=size, model=engine.ref, layers=made.layers, scale=made.scale
        )
        request = KeepSteering(payload=payload, effect=made.effect, parents=pins, labels=labels)
        kept: Steered = self._dispatch(who, request)
        return kept

    def steering(
        self,
        ids: Sequence[str],
        *,
        strengths: Mapping[str, float] | None = None,
        user_id: str | None = None,
        agent_id: str | None = None,
    ) -> Steering:
        """Vectors for one answer, each as strong as it was made, or times what ``strengths`` says of its id.

        They add up; a negative strength turns one round. Raises SegmentRefused where a vector is another model's,
        DamagedBlob where its file is damaged, StaleMemory where what it was made from changed.
        """
        named = check_ids(ids, "ids", least=1)
        asked = _strengths({} if strengths is None else strengths)
        if others := [id for id in asked if id not in named]:
            raise InvalidInput(f"strengths names {others[0]!r}, which is not among the ids")
        engine = self._engine()
        who = read_by(self._bind(user_id, agent_id), engine.identity)
        uses, pins = [], []
        for id in named:
            cube: MemCube = self._dispatch(who, UseSteering(id=id, model=engine.ref))
            payload = cube.payload
            assert isinstance(payload, Activation)  # noqa: S101 (it was just checked)
            file = self._tools.blobs.open_whole(payload.blob)
            vectors = engine.load_steering(file, payload.layers)
            uses.append(SteeringUse(vectors=vectors, scale=(payload.scale or 0.0) * asked.get(id, 1.0)))
            pins.append(cube.pin())
        return Steering(uses=tuple(uses), ids=named, pins=tuple(pins))

    def steering_effect(
        self,
        items: Sequence[tuple[str, str, str]],
        ids: Sequence[str],
        *,
        strengths: Mapping[str, float] | None = None,
        user_id: str | None = None,
        agent_id: str | None = None,
    ) -> Effect:
        """What vectors do on labelled items: a question, the answer that is wanted, and one that is not.

        How much likelier the wanted answers become against the others, with the 95 % interval of a bootstrap.
        """
        limit = self._settings.text_limit
        labelled = [_item(one, limit=limit) for one in _several(items, "items")]
        used = self.steering(ids, strengths=strengths, user_id=user_id, agent_id=agent_id)
        return self._engine().steering_effect(labelled, used.uses)

    def _engine(self) -> Engine:
        """The local model, opened when it is first needed."""
        if self._activations is None:
            raise ModelError(NO_ENGINE)
        injector, _ = self._activations.needed()
        return injector.engine


def _several(given: Any, name: str) -> Sequence[Any]:
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise InvalidInput(f"{name} is {type(given).__name__}; pass a list")
    return given


def _texts(given: Any, count: int, *, limit: int) -> list[str]:
    if isinstance(given, str) or not isinstance(given, Sequence) or len(given) != count:
        raise InvalidInput(f"{given!r:.80} is not {count} texts; pass a tuple of {count}")
    return [check_text(text, "a text", limit=limit) for text in given]


def _pair(given: Any, *, limit: int) -> tuple[str, str]:
    wanted, other = _texts(given, 2, limit=limit)
    return wanted, other


def _item(given: Any, *, limit: int) -> SteeringItem:
    ask, wanted, other = _texts(given, 3, limit=limit)
    return SteeringItem(ask=ask, wanted=wanted, other=other)


def _layer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInput(f"layers holds {value!r}; pass whole numbers, as int")
    return value


def _strengths(given: Any) -> dict[str, float]:
    if not isinstance(given, Mapping):
        raise InvalidInput(f"strengths is {given!r}; pass a mapping from ids to numbers")
    return {check_id(id): _strength(one, "strengths") for id, one in given.items()}


def _strength(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= STRONGEST:
        raise InvalidInput(f"{name} holds {value!r}; pass numbers from {-STRONGEST:g} to {STRONGEST:g}")
    return float(value)
