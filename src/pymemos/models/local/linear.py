"""Linear layers that are multiplied by oneDNN, for float32 on a CPU.

Torch hands these to MKL, which keeps to narrow instructions on processors that are not Intel's. oneDNN goes by what the
processor can do: with AVX-512 on an AMD EPYC it does 2 to 2.4 times as many operations a second (ADR 0033). A single
token is another matter: there the weights are read once, and torch's own is at the speed of the memory.
"""

from __future__ import annotations

from typing import Final, Self

import torch
from torch import Tensor, nn

AVAILABLE: Final = hasattr(torch.ops.mkldnn, "_linear_pointwise")


class OneDnnLinear(nn.Linear):
    """The layer that it was made of, with its weights, which are not copied; torch's own for gradients and a token."""

    @classmethod
    def of(cls, base: nn.Linear) -> Self:
        """The same layer, multiplied otherwise."""
        made = cls(base.in_features, base.out_features, bias=base.bias is not None, device="meta")
        made.weight, made.bias = base.weight, base.bias
        return made.train(base.training)

    def forward(self, input: Tensor) -> Tensor:
        """(…, inputs) → (…, outputs)."""
        single = input.numel() == self.in_features
        exact = input.dtype == self.weight.dtype == torch.float32 and not input.is_cuda
        if torch.is_grad_enabled() or single or not exact:
            return super().forward(input)
        multiplied: Tensor = torch.ops.mkldnn._linear_pointwise(input, self.weight, self.bias, "none", [], "")
        return multiplied


def use_onednn(model: nn.Module) -> None:
    """Let every linear layer of a model that computes in float32 on the CPU be multiplied by oneDNN."""
    if not AVAILABLE:
        return
    for parent in [*model.modules()]:
        for name, child in [*parent.named_children()]:
            if type(child) is nn.Linear and child.weight.dtype is torch.float32 and child.weight.device.type == "cpu":
                setattr(parent, name, OneDnnLinear.of(child))
