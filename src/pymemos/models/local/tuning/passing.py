"""Many prompts at once through the engine's model: what its layers see of them, and what it answers, gate by gate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec
import torch
from torch import Tensor, nn

from pymemos.models.local.hooks import Lora
from pymemos.models.local.past import Past

if TYPE_CHECKING:
    from pymemos.models.local.engine import LocalEngine

_ROWS: Final = 32  # prompts in a pass: a longer one would keep those who serve waiting
_WORTH: Final = 4  # tokens with which all prompts begin, at least, for these to be computed once


class Seen(msgspec.Struct, frozen=True, eq=False):
    """What one prompt is within the model: ``states`` (tokens, width) as they enter a layer, ``last`` behind the norm.

    ``layers`` are keys and values (kv heads, tokens, size) of that layer and those above it.
    """

    states: Tensor
    last: Tensor
    layers: tuple[tuple[Tensor, Tensor], ...]


class _Beginning(msgspec.Struct, frozen=True, eq=False):
    """The tokens with which all of some prompts begin, computed once for all of them."""

    tokens: tuple[int, ...]
    cache: Past
    states: Tensor  # (tokens, width), as they enter a layer that was asked for
    last: Tensor


def seen(engine: LocalEngine, prompts: Sequence[Sequence[int]], first: int) -> list[Seen]:
    """What the layers from ``first`` on see of each prompt."""
    begun = _begun(engine, prompts, len(min(prompts, key=len, default=())) - 1, first)
    found: dict[int, Seen] = {}
    for chosen in _chunks(sorted(range(len(prompts)), key=lambda row: len(prompts[row]))):
        some = _behind([prompts[index] for index in chosen], begun)
        with engine.turn, torch.inference_mode(), ExitStack() as stack:
            entered, left = _watched(engine, first, stack)
            cache = _cache(engine, some, 0, begun)
            _decoded(engine, _padded(some, engine.device), cache)
        for row, (number, tokens) in enumerate(zip(chosen, some, strict=True)):
            length = len(tokens)
            layers = tuple(
                (layer.keys[row, :, :length].clone(), layer.values[row, :, :length].clone())
                for layer in cache.recent[first:]
            )
            one = Seen(entered[0][row, :length].clone(), left[0][row, :length].clone(), layers)
            found[number] = one if begun is None else _whole(one, begun, first)
    return [found[number] for number in range(len(prompts))]


def answers(
    engine: LocalEngine,
    prompts: Sequence[Sequence[int]],
    limit: int,
    *,
    adapter: Mapping[str, Lora] | None = None,
    opens: Sequence[int | None] = (),
) -> list[list[int]]:
    """The likeliest tokens of each answer, at most ``limit``; ``opens`` says from which token on the gate is open.

    Where it is None the gate stays closed, and the answer is the base model's. How all prompts begin is computed once.
    """
    given: list[list[int]] = [[] for _ in prompts]
    starts = list(opens) or [None] * len(prompts)
    ends = [len(tokens) - 1 for tokens in prompts] + [start for start in starts if start is not None]
    begun = _begun(engine, prompts, min(ends, default=0))
    there = 0 if begun is None else len(begun.tokens)
    for open_rows in (True, False):
        rows = [row for row, start in enumerate(starts) if (start is not None and adapter is not None) == open_rows]
        for chunk in _chunks(sorted(rows, key=lambda row: len(prompts[row]))):
            some = _behind([prompts[row] for row in chunk], begun)
            opened = [None if (start := starts[row]) is None else start - there for row in chunk]
            gate = _gates(some, opened, engine.device) if open_rows else None
            for row, answer in zip(chunk, _greedy(engine, some, limit, adapter or {}, gate, begun), strict=True):
                given[row] = answer
    return given


def _begun(engine: LocalEngine, prompts: Sequence[Sequence[int]], most: int, first: int = 0) -> _Beginning | None:
    """How all prompts begin, at most so many tokens of it; None where that is not worth a pass."""
    if len(prompts) < 2 or most < _WORTH:
        return None
    low, high = min(map(tuple, prompts)), max(map(tuple, prompts))  # whatever these two begin with, all between them do
    same = next((at for at in range(most) if low[at] != high[at]), most)
    if same < _WORTH:
        return None
    tokens = low[:same]
    with engine.turn, torch.inference_mode(), ExitStack() as stack:
        entered, left = _watched(engine, first, stack)
        cache = _cache(engine, [tokens], 0)
        _decoded(engine, _padded([tokens], engine.device), cache)
    return _Beginning(tokens, cache, entered[0][0].clone(), left[0][0].clone())


def _behind(prompts: Sequence[Sequence[int]], begun: _Beginning | None) -> list[Sequence[int]]:
    """What of the prompts comes behind their beginning."""
    return [tokens[0 if begun is None else len(begun.tokens) :] for tokens in prompts]


def _whole(one: Seen, begun: _Beginning, first: int) -> Seen:
    """A prompt with its beginning before it."""
    earlier = begun.cache.recent[first:]
    layers = tuple(
        (torch.cat([layer.keys[0], keys], dim=1), torch.cat([layer.values[0], values], dim=1))
        for layer, (keys, values) in zip(earlier, one.layers, strict=True)
    )
    return Seen(torch.cat([begun.states, one.states]), torch.cat([begun.last, one.last]), layers)


def surprise(
    engine: LocalEngine, tokens: Sequence[int], *, adapter: Mapping[str, Lora], opens: int | None = None
) -> float:
    """What a token of a text is unexpected by, in nats, in the mean over all but the first."""
    gate = None if opens is None else _gates([tokens], [opens], engine.device)
    with torch.inference_mode(), engine.turn, _opened(engine.model, adapter, gate):
        states = _decoded(engine, _padded([tokens], engine.device), _cache(engine, [tokens], 0))[0, :-1]
        logits = engine.model.get_output_embeddings()(states).float()
    labels = torch.tensor(list(tokens[1:]), device=engine.device)
    return float(nn.functional.cross_entropy(logits, labels))


def _greedy(
    engine: LocalEngine,
    prompts: Sequence[Sequence[int]],
    limit: int,
    adapter: Mapping[str, Lora],
    gate: Tensor | None,
    begun: _Beginning | None,
) -> list[list[int]]:
    lengths = torch.tensor([len(tokens) for tokens in prompts], device=engine.device)
    longest = int(lengths.max())
    there = 0 if begun is None else len(begun.tokens)
    found: list[list[int]] = [[] for _ in prompts]
    ended = [False] * len(prompts)
    cache = _cache(engine, prompts, limit, begun)
    with torch.inference_mode():
        with engine.turn, _opened(engine.model, adapter, gate):
            logits = _forward(engine, _padded(prompts, engine.device), cache, keep=lengths - 1)
        for step in range(limit):
            chosen = logits.argmax(dim=-1)
            for row, token in enumerate(chosen.tolist()):
                ended[row] = ended[row] or token in engine.ends
                if not ended[row]:
                    found[row].append(token)
            if all(ended) or step + 1 == limit:
                return found
            columns = torch.arange(there + longest + step + 1, device=engine.device) - there
            mask = (columns < lengths[:, None]) | (columns >= longest)
            later = None if gate is None else torch.ones_like(gate[:, :1])
            with engine.turn, _opened(engine.model, adapter, later):
                at = (there + lengths + step)[:, None]
                logits = _forward(engine, chosen[:, None], cache, positions=at, mask=mask[:, None, None])
    return found


def _forward(
    engine: LocalEngine,
    ids: Tensor,
    cache: Past,
    *,
    positions: Tensor | None = None,
    mask: Tensor | None = None,
    keep: Tensor | None = None,
) -> Tensor:
    """Logits (rows, vocabulary) of one token in each row: the last, or that which ``keep`` names."""
    states = _decoded(engine, ids, cache, positions, mask)
    rows = torch.arange(len(ids), device=engine.device)
    logits: Tensor = engine.model.get_output_embeddings()(states[rows, -1 if keep is None else keep])
    return logits


def _decoded(
    engine: LocalEngine, ids: Tensor, cache: Past, positions: Tensor | None = None, mask: Tensor | None = None
) -> Tensor:
    """The states (rows, tokens, width) behind the last norm."""
    start = cache.start
    where = torch.arange(start, start + ids.shape[1], device=engine.device)[None] if positions is None else positions
    out = engine.model.get_decoder()(
        input_ids=ids, position_ids=where, attention_mask=mask, cache=cache, use_cache=True, before=cache.before
    )
    states: Tensor = out.last_hidden_state
    return states


def _cache(engine: LocalEngine, prompts: Sequence[Sequence[int]], more: int, begun: _Beginning | None = None) -> Past:
    room = max(len(tokens) for tokens in prompts) + more
    if begun is None:
        return Past([], layers=len(engine.layers), room=room, device=engine.device)
    earlier = begun.cache.segment("", begun.tokens)
    cache = Past([earlier], layers=len(engine.layers), room=room, device=engine.device)
    rows = len(prompts)
    cache.before = [
        [(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1)) for keys, values in parts]
        for parts in cache.before
    ]
    return cache


def _padded(prompts: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """Token ids (rows, longest), with zeros behind: what comes later is never looked at."""
    longest = max(len(tokens) for tokens in prompts)
    return torch.tensor([[*tokens, *[0] * (longest - len(tokens))] for tokens in prompts], device=device)


def _gates(prompts: Sequence[Sequence[int]], starts: Sequence[int | None], device: torch.device) -> Tensor:
    columns = torch.arange(max(len(tokens) for tokens in prompts), device=device)
    opened = torch.tensor([len(columns) if start is None else start for start in starts], device=device)
    return (columns >= opened[:, None]).float()


@contextmanager
def _opened(model: nn.Module, adapter: Mapping[str, Lora], gate: Tensor | None) -> Iterator[None]:
    """Within it, the adapter is added times ``gate`` (rows, tokens)."""
    with ExitStack() as stack:
        if gate is not None:
            for name, lora in adapter.items():
                handle = model.get_submodule(name).register_forward_hook(_adding(lora, gate))
                stack.callback(handle.remove)
        yield


def _adding(lora: Lora, gate: Tensor) -> Any:
    down, up, scale = lora

    def hook(_module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> Tensor:
        added = (given[0].to(down) @ down.T @ up.T) * (scale * gate.to(down)[..., None])
        return output + added.to(output)

    return hook


def _watched(engine: LocalEngine, first: int, stack: ExitStack) -> tuple[list[Tensor], list[Tensor]]:
    """What enters a layer, and what leaves the last norm, as soon as a pass has run."""
    entered: list[Tensor] = []
    left: list[Tensor] = []

    def enter(_module: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        entered.append(args[0] if args else named["hidden_states"])

    def leave(_module: nn.Module, _args: Any, output: Tensor) -> None:
        left.append(output)

    stack.callback(engine.layers[first].register_forward_pre_hook(enter, with_kwargs=True).remove)
    stack.callback(engine.model.get_decoder().norm.register_forward_hook(leave).remove)
    return entered, left


def _chunks(rows: Sequence[int]) -> Iterator[list[int]]:
    for at in range(0, len(rows), _ROWS):
        yield list(rows[at : at + _ROWS])
