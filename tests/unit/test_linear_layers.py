"""Linear layers through oneDNN: the same numbers but for rounding, on any shape, and gradients as ever."""

from __future__ import annotations

import pytest
import torch

from pymemos.models.local.linear import AVAILABLE, OneDnnLinear, use_onednn

pytestmark = pytest.mark.skipif(not AVAILABLE, reason="this build of torch has no oneDNN")


def layers(*, bias: bool) -> tuple[torch.nn.Linear, OneDnnLinear]:
    torch.manual_seed(7)
    plain = torch.nn.Linear(24, 40, bias=bias)
    return plain, OneDnnLinear.of(plain)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    "states",
    [
        torch.ones(24),
        torch.randn(1, 1, 24),
        torch.randn(2, 37, 24),
        torch.randn(1, 50, 24)[:, 3:-1:2],
        torch.randn(1, 24, 9).transpose(1, 2),
        torch.empty(1, 0, 24),
    ],
    ids=["vector", "one", "batch", "sliced", "transposed", "none"],
)
def test_it_multiplies_as_torch_does(states: torch.Tensor, bias: bool) -> None:
    plain, ours = layers(bias=bias)

    with torch.inference_mode():
        torch.testing.assert_close(ours(states), plain(states), rtol=1e-5, atol=1e-6)


def test_weights_are_shared_and_not_copied() -> None:
    plain, ours = layers(bias=True)

    assert ours.weight is plain.weight
    assert ours.bias is plain.bias


def test_gradients_are_torchs() -> None:
    plain, ours = layers(bias=True)
    states = torch.randn(3, 24)

    ours(states).square().sum().backward()

    found = plain.weight.grad
    plain.weight.grad = None
    plain(states).square().sum().backward()
    torch.testing.assert_close(found, plain.weight.grad)


def test_other_numbers_are_left_to_torch() -> None:
    plain, ours = layers(bias=False)
    states = torch.randn(3, 24, dtype=torch.bfloat16)

    with torch.inference_mode():
        assert torch.equal(ours.to(torch.bfloat16)(states), plain.to(torch.bfloat16)(states))


def test_every_linear_layer_of_a_model_is_taken_and_others_are_left() -> None:
    model = torch.nn.Sequential(
        torch.nn.Linear(4, 4), torch.nn.Sequential(torch.nn.Linear(4, 4).half()), torch.nn.ReLU()
    )

    use_onednn(model)

    assert [type(module).__name__ for module in model.modules()][1:] == ["OneDnnLinear", "Sequential", "Linear", "ReLU"]
