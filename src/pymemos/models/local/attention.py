"""Attention over keys and values that lie in several places: each is read where it lies, and the results are joined.

Softmax over a union is a weighted mean of the softmaxes over its parts, with the parts' log-sum-exp as weights. So a
memory is neither copied to stand beside what is new, nor repeated for the heads that share it: it may lie in a mapped
file. What comes out differs from one pass over everything by the rounding of float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch import Tensor

from pymemos.errors import ModelError

NAME: Final = "pymemos_parts"  # of this attention among those that transformers knows
Part = tuple[Tensor, Tensor]  # keys and values, each (1, kv heads, tokens, head size)
Watch = Callable[[Tensor, Sequence[Part], Tensor, float | None], None]  # sees query, parts, new keys and the scaling
_UNKNOWN: Final = ("sliding_window", "softcap", "s_aux", "position_bias")  # what a model may ask for, and is not done


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    before: Sequence[Sequence[Part]] = (),
    watch: Watch | None = None,
    **asked: Any,
) -> tuple[Tensor, None]:
    """What transformers calls in every layer: (1, heads, new, size) against what was before, and the new itself.

    ``key`` and ``value`` are all that was computed in this run; ``before`` holds for each layer the parts that were
    taken from memory. A boolean mask (1, 1, new, everything) goes over all parts in order, instead of the causal one.
    ``watch`` is shown what each layer attends with, in their order.
    """
    wrong = [name for name in _UNKNOWN if asked.get(name) is not None]
    if wrong:
        raise ModelError(
            f"the model's attention asks for {', '.join(wrong)}, which KV injection does not do; use another"
        )
    parts = before[module.layer_idx] if before else ()
    if watch is not None:
        watch(query, parts, key, scaling)
    if attention_mask is not None:
        joined = _masked(query, [*parts, (key, value)], attention_mask, scaling)
        return joined.transpose(1, 2).contiguous(), None
    out, weight = _recent(query, key, value, scaling)
    for keys, values in parts:
        other, other_weight = _shared(query, keys, values, scaling)
        total = torch.logaddexp(weight, other_weight)
        out = out * _share(weight, total, out) + other * _share(other_weight, total, out)
        weight = total
    return out.transpose(1, 2).contiguous(), None


def _share(weight: Tensor, total: Tensor, like: Tensor) -> Tensor:
    return (weight - total).exp().unsqueeze(-1).to(like.dtype)


def _recent(query: Tensor, key: Tensor, value: Tensor, scaling: float | None) -> Part:
    """Over the tokens of this run, of which each sees itself and those before it."""
    new, there = query.shape[2], key.shape[2]
    if new == 1:
        return _shared(query, key, value, scaling)
    if new == there:
        groups = query.shape[1] // key.shape[1]
        return _attention(query, _repeated(key, groups), _repeated(value, groups), scaling, causal=True)
    earlier = there - new  # tokens that another forward of this run has computed
    old = _shared(query, key[:, :, :earlier], value[:, :, :earlier], scaling)
    fresh = _recent(query, key[:, :, earlier:], value[:, :, earlier:], scaling)
    total = torch.logaddexp(old[1], fresh[1])
    return old[0] * _share(old[1], total, query) + fresh[0] * _share(fresh[1], total, query), total


def _shared(query: Tensor, key: Tensor, value: Tensor, scaling: float | None) -> Part:
    """Over tokens that all of the query sees: heads that share keys are rows of one query, so nothing is repeated."""
    one, heads, new, size = query.shape
    rows = query.reshape(one, key.shape[1], -1, size)
    out, weight = _attention(rows, key, value, scaling, causal=False)
    return out.reshape(one, heads, new, -1), weight.reshape(one, heads, new)


def _repeated(states: Tensor, groups: int) -> Tensor:
    return states if groups == 1 else states.repeat_interleave(groups, dim=1)


def _attention(query: Tensor, key: Tensor, value: Tensor, scaling: float | None, *, causal: bool) -> Part:
    """The output, and the log-sum-exp of the scores in float32, (1, heads, rows)."""
    alike = query.shape[-1] == value.shape[-1]
    if query.device.type == "cpu" and alike:
        out, weight = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            query, key, value, 0.0, causal, scale=scaling
        )
        return out, weight
    if query.device.type == "cuda" and alike and query.shape[-1] <= 256 and query.shape[-1] % 8 == 0:
        if query.dtype in (torch.bfloat16, torch.float16):
            out, weight, *_ = torch.ops.aten._scaled_dot_product_flash_attention(
                query, key, value, 0.0, causal, False, scale=scaling
            )
        else:
            out, weight, *_ = torch.ops.aten._scaled_dot_product_efficient_attention(
                query, key, value, None, True, 0.0, causal, scale=scaling
            )
        return out, weight[:, :, : query.shape[2]]
    return _plain(query, key, value, scaling, causal=causal)


def _plain(query: Tensor, key: Tensor, value: Tensor, scaling: float | None, *, causal: bool) -> Part:
    """The same by its definition, for devices and shapes that have no kernel which tells the log-sum-exp."""
    scores = (query @ key.transpose(-1, -2)).float() * (scaling or query.shape[-1] ** -0.5)
    if causal:
        hidden = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(hidden, float("-inf"))
    weight = scores.logsumexp(dim=-1)
    return (scores - weight.unsqueeze(-1)).exp().to(value.dtype) @ value, weight


def _masked(query: Tensor, parts: Sequence[Part], mask: Tensor, scaling: float | None) -> Tensor:
    groups = query.shape[1] // parts[0][0].shape[1]
    keys, values = (torch.cat(one, dim=2) for one in zip(*parts, strict=True))
    return torch.nn.functional.scaled_dot_product_attention(
        query, _repeated(keys, groups), _repeated(values, groups), attn_mask=mask, scale=scaling
    )
