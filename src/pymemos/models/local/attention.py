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
Result = tuple[Tensor, Tensor]  # what comes out, (…, rows, size), and the log-sum-exp of its scores, (…, rows)
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
    rows = query.view(query.shape[0], key.shape[1], -1, *query.shape[2:])
    result = _recent(rows, key, value, scaling)
    for keys, values in parts:
        result = _joined(result, _shared(rows, keys, values, scaling))
    return result[0].flatten(1, 2).transpose(1, 2).contiguous(), None


def _joined(one: Result, other: Result) -> Result:
    """Over the tokens of both: outputs are mixed by how much of the whole weight each has, in one pass."""
    (out, weight), (other_out, other_weight) = one, other
    share = torch.sigmoid(other_weight - weight).unsqueeze(-1).to(out.dtype)
    return torch.lerp(out, other_out, share), torch.logaddexp(weight, other_weight)


def _recent(rows: Tensor, key: Tensor, value: Tensor, scaling: float | None) -> Result:
    """Over the tokens of this run, of which each sees itself and those before it."""
    new, there = rows.shape[3], key.shape[2]
    if new == 1:
        return _shared(rows, key, value, scaling)
    if new == there:
        return _causal(rows, key, value, scaling)
    earlier = there - new  # tokens that another forward of this run has computed
    old = _shared(rows, key[:, :, :earlier], value[:, :, :earlier], scaling)
    return _joined(old, _causal(rows, key[:, :, earlier:], value[:, :, earlier:], scaling))


def _shared(rows: Tensor, key: Tensor, value: Tensor, scaling: float | None) -> Result:
    """Over tokens that all of the query sees: heads that share keys are rows of one query, so keys are read once."""
    one, shared, group, new, _ = rows.shape
    out, weight = _attention(rows.reshape(one, shared, group * new, -1), key, value, scaling, causal=False)
    return out.view(one, shared, group, new, -1), weight.view(one, shared, group, new)


def _causal(rows: Tensor, key: Tensor, value: Tensor, scaling: float | None) -> Result:
    """Over as many tokens as are asked about, where heads that share keys look at the same numbers."""
    one, shared, group, new, _ = rows.shape
    keys, values = (states.unsqueeze(2).expand(-1, -1, group, -1, -1).flatten(0, 1) for states in (key, value))
    out, weight = _attention(rows.flatten(0, 1), keys, values, scaling, causal=True)
    return out.view(one, shared, group, new, -1), weight.view(one, shared, group, new)


def _attention(query: Tensor, key: Tensor, value: Tensor, scaling: float | None, *, causal: bool) -> Result:
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


def _plain(query: Tensor, key: Tensor, value: Tensor, scaling: float | None, *, causal: bool) -> Result:
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


def _repeated(states: Tensor, groups: int) -> Tensor:
    return states if groups == 1 else states.repeat_interleave(groups, dim=1)
