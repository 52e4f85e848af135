"""What is added inside a forward pass: steering vectors behind layers, adapters that a gate opens token by token."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import msgspec
import torch
from torch import Tensor, nn

from pymemos.errors import InvalidInput
from pymemos.ports import SteeringUse

Record = Callable[[int, Tensor], None]
Lora = tuple[Tensor, Tensor, float]  # A (rank, in), B (out, rank), and the scale of B·A


class AdapterUse(msgspec.Struct, frozen=True, eq=False):
    """Low-rank additions to linear layers, by their names in the model, times a gate for each token of the prompt.

    ``gate`` is (prompt tokens,) in [0, 1]; ``after`` is the gate of the tokens that are generated. Where the gate is 0
    the model is the base, to the last bit.
    """

    modules: Mapping[str, Lora]
    gate: Tensor
    after: float = 0.0

    def over(self, start: int, count: int) -> Tensor:
        """The gate of ``count`` tokens from position ``start`` on."""
        known = self.gate[start : start + count].float()
        return torch.cat([known, torch.full((count - len(known),), self.after)]) if len(known) < count else known


@contextmanager
def steered(layers: Sequence[nn.Module], steering: Sequence[SteeringUse], last: int = 1) -> Iterator[None]:
    """Within it, each vector is added, times its scale, to what leaves its layer for the last tokens of a pass."""
    with ExitStack() as stack:
        for use in steering:
            for index, vector in use.vectors.items():
                if use.scale and not 0 <= index < len(layers):
                    raise InvalidInput(f"the model has no layer {index} to steer; it has {len(layers)}")
                if use.scale:
                    handle = layers[index].register_forward_hook(_adding(vector, use.scale, last))
                    stack.callback(handle.remove)
        yield


def _adding(vector: Tensor, scale: float, last: int) -> Callable[..., Any]:
    def hook(_module: nn.Module, _given: Any, output: Any) -> Any:
        states = output[0] if isinstance(output, tuple) else output
        states = states.clone()
        states[:, -last:] += scale * vector.to(states)
        return (states, *output[1:]) if isinstance(output, tuple) else states

    return hook


@contextmanager
def recorded(layers: Sequence[nn.Module], record: Record | None) -> Iterator[None]:
    """Within it, ``record`` is shown what leaves each layer, (1, tokens, width), by the layer's index."""
    with ExitStack() as stack:
        for index, layer in enumerate(layers if record is not None else ()):
            stack.callback(layer.register_forward_hook(_showing(index, record)).remove)
        yield


def _showing(index: int, record: Record | None) -> Callable[..., None]:
    def hook(_module: nn.Module, _given: Any, output: Any) -> None:
        assert record is not None  # noqa: S101 (else nothing is shown)
        record(index, output[0] if isinstance(output, tuple) else output)

    return hook


@contextmanager
def adapted(model: nn.Module, adapters: Sequence[AdapterUse], start: int, count: int) -> Iterator[None]:
    """Within it, linear layers add their adapters for those of ``count`` tokens from ``start`` whose gate is open."""
    with ExitStack() as stack:
        for use in adapters:
            gate = use.over(start, count)
            rows = gate.nonzero().flatten()
            if not len(rows):
                continue  # closed: the layers stay untouched
            for name, lora in use.modules.items():
                handle = _linear(model, name, lora).register_forward_hook(_opening(lora, rows, gate[rows]))
                stack.callback(handle.remove)
        yield


def _linear(model: nn.Module, name: str, lora: Lora) -> nn.Module:
    try:
        module = model.get_submodule(name)
    except AttributeError as error:
        raise InvalidInput(f"the model has no layer {name!r} for the adapter") from error
    down, up, _ = lora
    if not isinstance(module, nn.Linear):
        raise InvalidInput(f"the model's {name!r} is no linear layer")
    if down.shape[1:] != (module.in_features,) or up.shape != (module.out_features, down.shape[0]):
        raise InvalidInput(
            f"the adapter's {name!r} has shapes {tuple(down.shape)} and {tuple(up.shape)}; they do not fit"
        )
    return module


def _opening(lora: Lora, rows: Tensor, gate: Tensor) -> Callable[..., Any]:
    down, up, scale = lora

    def hook(_module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> Tensor:
        open_rows = rows.to(output.device)
        added = (given[0][:, open_rows].to(down) @ down.T @ up.T) * (scale * gate.to(down)[:, None])
        return output.index_add(1, open_rows, added.to(output))

    return hook
