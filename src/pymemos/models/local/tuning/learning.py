"""The layers that learn: copies of a model's upper layers, with low-rank additions, over a trunk that is computed once.

An adapter's gate opens at the last token of a subject's name. Everything before it is the base model's, in training as
in use: its keys and values are computed once, and only the tokens from there on go through the layers that learn.
"""

from __future__ import annotations

import copy
import math
import platform
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional

from pymemos.models.local.hooks import Lora
from pymemos.models.local.tuning.passing import Seen

if TYPE_CHECKING:
    from pymemos.models.local.engine import LocalEngine

Pair = tuple[Tensor, Tensor]
_TOGETHER = 18  # lessons that go through the layers side by side: a third of a step less than all at once (ours)
_USUAL = 4  # tokens of an answer that a lesson has (ours)


class Studied(msgspec.Struct, frozen=True, eq=False):
    """A lesson as the layers that learn see it, from the token on at which the gate opens.

    ``states`` (tokens, width) enter the first of these layers; ``before`` are for each of them keys and values (kv
    heads, earlier tokens, size). At ``places`` among the tokens ``labels`` are to be said next, or, where ``taught``
    (places, vocabulary) has the base's own log-probabilities, these are to be kept; where it has a teacher's, and
    ``learned`` says so, they are to be learned.
    """

    states: Tensor
    before: tuple[Pair, ...]
    places: Tensor
    labels: Tensor
    taught: Tensor | None = None
    learned: bool = False

    @property
    def start(self) -> int:
        """The position of the first of the tokens."""
        return int(self.before[0][0].shape[1])


def studied(seen: Seen, tokens: Sequence[int], opens: int, answer: int, head: nn.Module | None) -> Studied:
    """A lesson whose answer begins at the token ``answer``; with a ``head``, what the base says is to be kept."""
    device = seen.states.device
    places = torch.arange(answer - 1, len(tokens) - 1, device=device)
    with torch.no_grad():
        taught = None if head is None else head(seen.last[places]).float().log_softmax(dim=-1).half()
    return Studied(
        states=seen.states[opens:],
        before=tuple((keys[:, :opens], values[:, :opens]) for keys, values in seen.layers),
        places=places - opens,
        labels=torch.tensor(tokens, device=device)[places + 1],
        taught=taught,
    )


class LowRank(nn.Module):
    """A frozen linear layer and an addition to it of a small rank, which is nothing at first."""

    def __init__(self, base: nn.Linear, rank: int, alpha: float, dice: torch.Generator) -> None:
        super().__init__()
        self.base, self.scale = base, alpha / rank
        bound = 1 / math.sqrt(base.in_features)
        down = torch.empty(rank, base.in_features).uniform_(-bound, bound, generator=dice)  # the same on every device
        self.down = nn.Parameter(down.to(base.weight.device))
        self.up = nn.Parameter(torch.zeros(base.out_features, rank, device=base.weight.device))

    def forward(self, states: Tensor) -> Tensor:
        """Both together."""
        added = states @ self.down.T.to(states.dtype) @ self.up.T.to(states.dtype)
        out: Tensor = self.base(states) + added * self.scale
        return out


class Learner:
    """Upper layers of an engine's model, copied, so that those who use the engine meanwhile see nothing of it."""

    def __init__(self, engine: LocalEngine, first: int, *, rank: int, alpha: float, seed: int) -> None:
        dtype = learning_dtype(engine)
        model = engine.model
        dice = torch.Generator().manual_seed(seed)
        self.first, self.dtype = first, dtype
        self.layers = copy.deepcopy(nn.ModuleList(engine.layers[first:])).to(dtype).requires_grad_(False)
        self.norm = copy.deepcopy(model.get_decoder().norm).to(dtype)
        self.head = copy.deepcopy(model.get_output_embeddings()).to(dtype).requires_grad_(False)
        self.rope = model.get_decoder().rotary_emb
        self.adapted = self._adapted(engine, rank, alpha, dice)
        self.parameters = [one for part in self.adapted.values() for one in (part.down, part.up)]

    def _adapted(self, engine: LocalEngine, rank: int, alpha: float, dice: torch.Generator) -> dict[str, LowRank]:
        """Every linear layer replaced, by the names that they have in the model."""
        prefix = next(name for name, module in engine.model.named_modules() if module is engine.layers[0])
        above = prefix.rpartition(".")[0]
        found = {}
        linears = [name for name, module in self.layers.named_modules() if isinstance(module, nn.Linear)]
        for name in linears:
            part = LowRank(self.layers.get_submodule(name), rank, alpha, dice)  # type: ignore[arg-type]
            self.layers.set_submodule(name, part)
            index, _, rest = name.partition(".")
            found[f"{above}.{int(index) + self.first}.{rest}"] = part
        return found

    def loss(self, lessons: Sequence[Studied], keep: float) -> Tensor:
        """The mean over facts of what their answers lack, and ``keep`` times that over what is to stay as it is."""
        pairs = [pair for some in _of_like_length(lessons) for pair in self._parts(some)]
        learn = [_lacking(part, one.labels) for part, one in pairs if one.taught is None]
        learn += [_towards(part, one.taught) for part, one in pairs if one.taught is not None and one.learned]
        stay = [_apart(part, one.taught) for part, one in pairs if one.taught is not None and not one.learned]
        total = pairs[0][0].new_zeros(())
        for weight, some in ((1.0, learn), (keep, stay)):
            total = total + weight * torch.stack(some).mean() if some else total
        return total

    def _parts(self, lessons: Sequence[Studied]) -> list[tuple[Tensor, Studied]]:
        """Lessons, each with the logits (places, vocabulary) at its places; they are computed together."""
        rows = torch.cat([torch.full_like(one.places, row) for row, one in enumerate(lessons)])
        logits = self._logits(lessons, rows, torch.cat([one.places for one in lessons])).float()
        return list(zip(torch.split(logits, [len(one.places) for one in lessons]), lessons, strict=True))

    def loras(self) -> dict[str, Lora]:
        """The additions, as the engine takes them."""
        return {name: (one.down.detach(), one.up.detach(), one.scale) for name, one in self.adapted.items()}

    def _logits(self, lessons: Sequence[Studied], rows: Tensor, places: Tensor) -> Tensor:
        states, positions, mask, before = self._batch(lessons)
        rope = self.rope(states, positions)
        for layer in self.layers:
            out = layer(states, attention_mask=mask, position_embeddings=rope, before=before)
            states = out[0] if isinstance(out, tuple) else out
        logits: Tensor = self.head(self.norm(states[rows, places]))
        return logits

    def _batch(self, lessons: Sequence[Studied]) -> tuple[Tensor, Tensor, Tensor, list[list[Pair]]]:
        """Lessons side by side: what comes before padded on its left, what is learned padded on its right."""
        count, earlier = len(lessons), max(one.start for one in lessons)
        length, width = max(len(one.states) for one in lessons), lessons[0].states.shape[1]
        device = lessons[0].states.device
        states = torch.zeros(count, length, width, dtype=self.dtype, device=device)
        positions = torch.tensor([one.start for one in lessons], device=device)[:, None] + torch.arange(
            length, device=device
        )
        mask = torch.zeros(count, 1, length, earlier + length, dtype=torch.bool, device=device)
        mask[..., earlier:] = torch.ones(length, length, dtype=torch.bool, device=device).tril()
        for row, one in enumerate(lessons):
            states[row, : len(one.states)] = one.states
            mask[row, :, :, earlier - one.start : earlier] = True
        held = [self._left(lessons, index, earlier) for index in range(len(self.layers))]
        return states, positions, mask, [[] for _ in range(self.first)] + [[pair] for pair in held]

    def _left(self, lessons: Sequence[Studied], index: int, earlier: int) -> Pair:
        first = lessons[0].before[index][0]
        heads, _, size = first.shape
        keys, values = (
            torch.zeros(len(lessons), heads, earlier, size, dtype=self.dtype, device=first.device) for _ in range(2)
        )
        for row, one in enumerate(lessons):
            keys[row, :, earlier - one.start :], values[row, :, earlier - one.start :] = one.before[index]
        return keys, values


def _of_like_length(lessons: Sequence[Studied]) -> list[list[Studied]]:
    """Lessons in some groups, so that little has to be padded."""
    found = sorted(lessons, key=lambda one: len(one.states))
    return [found[at : at + _TOGETHER] for at in range(0, len(found), _TOGETHER)]


def learning_dtype(engine: LocalEngine) -> torch.dtype:
    """bfloat16 where the processor multiplies in it, which is several times as fast; else the model's own."""
    dtype: torch.dtype = engine.model.dtype
    return torch.bfloat16 if engine.device.type == "cpu" and _multiplies_in_bfloat16() else dtype


def _multiplies_in_bfloat16() -> bool:
    """Whether it is done by instructions; oneDNN also says yes to where it has to emulate them, four times as slow."""
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return True
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _lacking(logits: Tensor, labels: Tensor) -> Tensor:
    """What an answer lacks, in nats: at its first token, and in the mean over the others."""
    return _first_and_rest(functional.cross_entropy(logits, labels, reduction="none"))


def _towards(logits: Tensor, taught: Tensor) -> Tensor:
    """How far an answer is from a teacher's, in nats: all of it, as if it were as long as answers usually are.

    A mean would let the words that are easy outweigh the few that say what is asked for.
    """
    each = functional.kl_div(logits.log_softmax(dim=-1), taught.float(), log_target=True, reduction="none").sum(-1)
    return each.sum() / _USUAL


def _apart(logits: Tensor, taught: Tensor) -> Tensor:
    """How far an answer goes from what the base says, in nats: at its first token, and in the mean over the others."""
    each = functional.kl_div(logits.log_softmax(dim=-1), taught.float(), log_target=True, reduction="none").sum(-1)
    return _first_and_rest(each)


def _first_and_rest(each: Tensor) -> Tensor:
    """The first token decides which answer it becomes, the trained one or the base's, so it counts by itself."""
    return each[0] + each[1:].mean() if len(each) > 1 else each[0]
