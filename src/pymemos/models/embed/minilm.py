"""all-MiniLM-L6-v2 as an ONNX graph in float32 or int8, built from its safetensors without torch (ADR 0018)."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from pymemos.errors import ModelError

DIMENSIONS, HEADS, LAYERS = 384, 12, 6
OPSET, IR = 17, 8  # operators and file format that every onnxruntime of the last years reads
RUNTIME = "com.microsoft"  # ONNX Runtime's own operators: MatMulIntegerToFloat is the one used
MIDDLE = 128  # the unsigned byte that stands for 0: unsigned activations meet the fast kernels
STEPS = 127  # of an int8 on either side of 0
WEIGHT_STEPS = 63  # 2 * 255 * 63 fits into 16 bits: processors without VNNI add two products in so many
TINY = 1e-12  # against dividing by nothing


def build(weights: Path, target: Path, *, int8: bool) -> None:
    """Write the model with the weights of a safetensors file to ``target``."""
    import onnx

    onnx.save(_Builder(_tensors(weights), int8=int8).model(), str(target))


def _tensors(path: Path) -> dict[str, Any]:
    """The float32 arrays of a safetensors file by name."""
    import numpy as np

    raw = path.read_bytes()
    try:
        (size,) = struct.unpack("<Q", raw[:8])
        header = json.loads(raw[8 : 8 + size])
        wanted = {name: entry for name, entry in header.items() if entry.get("dtype") == "F32"}
        places = {name: slice(*(8 + size + offset for offset in wanted[name]["data_offsets"])) for name in wanted}
        return {name: np.frombuffer(raw[places[name]], "<f4").reshape(wanted[name]["shape"]) for name in wanted}
    except (struct.error, ValueError, KeyError, AttributeError, TypeError) as error:
        raise ModelError(f"{path.name} is no safetensors file ({error}); fetch it again") from error


class _Builder:
    """Builds the graph of a BERT encoder with mean pooling, node by node.

    As int8, the weights have a scale for each output channel, and what is multiplied by them one for each token. The
    usual scale for the whole batch would make the vector of a text depend on the texts beside it.
    """

    def __init__(self, tensors: dict[str, Any], *, int8: bool) -> None:
        self._tensors = tensors
        self._int8 = int8
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._tokens: dict[str, tuple[str, str]] = {}  # what was made int8 already: its bytes and scales

    def model(self) -> Any:
        """The whole model: ids and mask of tokens in, a row of length 1 for each text out."""
        from onnx import TensorProto, checker, helper

        names = ("input_ids", "attention_mask")
        inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["texts", "tokens"]) for name in names]
        output = helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["texts", DIMENSIONS])
        weights = self._node("Cast", "attention_mask", to=TensorProto.FLOAT)
        states = self._embeddings()
        bias = self._bias(weights)
        for layer in range(LAYERS):
            states = self._layer(states, bias, f"encoder.layer.{layer}.")
        self._nodes.append(helper.make_node("Identity", [self._pooled(states, weights)], ["embeddings"]))
        graph = helper.make_graph(self._nodes, "minilm", inputs, [output], self._constants)
        imports = [helper.make_opsetid("", OPSET), helper.make_opsetid(RUNTIME, 1)]
        model = helper.make_model(graph, opset_imports=imports, ir_version=IR)
        checker.check_model(model)
        return model

    def _embeddings(self) -> str:
        length = self._node("Gather", self._node("Shape", "input_ids"), self._integers(1, scalar=True), axis=0)
        first, step = self._integers(0, scalar=True), self._integers(1, scalar=True)
        # The token type is always the first: its row is added to every position.
        table = self._tensors["embeddings.position_embeddings.weight"]
        table = table + self._tensors["embeddings.token_type_embeddings.weight"][0]
        places = self._node("Gather", self._floats(table), self._node("Range", first, length, step))
        return self._norm(self._node("Add", self._words(), places), "embeddings.LayerNorm")

    def _words(self) -> str:
        from onnx import TensorProto

        table = self._tensors["embeddings.word_embeddings.weight"]
        if not self._int8:
            return self._node("Gather", self._floats(table), "input_ids")
        codes, scales = _quantised(table, axis=1, steps=STEPS)
        found = self._node("Gather", self._constant(codes), "input_ids")
        return self._node(
            "Mul",
            self._node("Cast", found, to=TensorProto.FLOAT),
            self._node("Gather", self._floats(scales), "input_ids"),
        )

    def _bias(self, weights: str) -> str:
        """What is added to the attention: a large negative number where a text is padded."""
        absent = self._node("Sub", self._floats(1), weights)
        return self._node("Unsqueeze", self._node("Mul", absent, self._floats(-1e4)), self._integers(1, 2))

    def _layer(self, states: str, bias: str, at: str) -> str:
        heard = self._linear(self._attention(states, bias, at), at + "attention.output.dense")
        states = self._norm(self._node("Add", heard, states), at + "attention.output.LayerNorm")
        inner = self._gelu(self._linear(states, at + "intermediate.dense"))
        thought = self._linear(inner, at + "output.dense")
        return self._norm(self._node("Add", thought, states), at + "output.LayerNorm")

    def _attention(self, states: str, bias: str, at: str) -> str:
        split = self._integers(0, 0, HEADS, DIMENSIONS // HEADS)
        parts = {}
        for name, order in (("query", [0, 2, 1, 3]), ("key", [0, 2, 3, 1]), ("value", [0, 2, 1, 3])):
            heads = self._node("Reshape", self._linear(states, f"{at}attention.self.{name}"), split)
            parts[name] = self._node("Transpose", heads, perm=order)
        scale = self._floats((DIMENSIONS // HEADS) ** -0.5)
        likeness = self._node("Mul", self._node("MatMul", parts["query"], parts["key"]), scale)
        shares = self._node("Softmax", self._node("Add", likeness, bias), axis=-1)
        mixed = self._node("Transpose", self._node("MatMul", shares, parts["value"]), perm=[0, 2, 1, 3])
        return self._node("Reshape", mixed, self._integers(0, 0, DIMENSIONS))

    def _linear(self, x: str, at: str) -> str:
        matrix, bias = self._tensors[at + ".weight"].T, self._floats(self._tensors[at + ".bias"])
        product = self._product(x, matrix) if self._int8 else self._node("MatMul", x, self._floats(matrix))
        return self._node("Add", product, bias)

    def _product(self, x: str, matrix: Any) -> str:
        """The product of ``x`` and a matrix in int8."""
        codes, scales = _quantised(matrix, axis=0, steps=WEIGHT_STEPS)
        if x not in self._tokens:
            self._tokens[x] = self._quantised_tokens(x)
        rows, largest = self._tokens[x]
        inputs = (rows, self._constant(codes), self._floats(1 / STEPS), self._floats(scales[0]), self._middle())
        return self._node("Mul", self._node("MatMulIntegerToFloat", *inputs, domain=RUNTIME), largest)

    def _quantised_tokens(self, x: str) -> tuple[str, str]:
        """The numbers of each token as bytes, and the largest of each, which ``STEPS`` from the middle stand for."""
        largest = self._node("ReduceMax", self._node("Abs", x), axes=[-1], keepdims=1)
        largest = self._node("Max", largest, self._floats(TINY))
        shares = self._node("Div", x, largest)
        return self._node("QuantizeLinear", shares, self._floats(1 / STEPS), self._middle()), largest

    def _gelu(self, x: str) -> str:
        bell = self._node("Erf", self._node("Mul", x, self._floats(0.5**0.5)))
        half = self._node("Mul", x, self._floats(0.5))
        return self._node("Mul", half, self._node("Add", bell, self._floats(1)))

    def _norm(self, x: str, at: str) -> str:
        scale, shift = (self._floats(self._tensors[f"{at}.{part}"]) for part in ("weight", "bias"))
        return self._node("LayerNormalization", x, scale, shift, axis=-1, epsilon=1e-12)

    def _pooled(self, states: str, weights: str) -> str:
        tokens = self._integers(1)
        column = self._node("Unsqueeze", weights, self._integers(2))
        total = self._node("ReduceSum", self._node("Mul", states, column), tokens, keepdims=0)
        mean = self._node("Div", total, self._node("ReduceSum", column, tokens, keepdims=0))
        return self._node("LpNormalization", mean, axis=-1, p=2)

    def _floats(self, values: Any) -> str:
        import numpy as np

        return self._constant(np.asarray(values, np.float32))

    def _integers(self, *values: int, scalar: bool = False) -> str:
        import numpy as np

        return self._constant(np.array(values[0] if scalar else values, np.int64))

    def _middle(self) -> str:
        import numpy as np

        return self._constant(np.array(MIDDLE, np.uint8))

    def _constant(self, array: Any) -> str:
        import numpy as np
        from onnx import numpy_helper

        name = f"constant_{len(self._constants)}"
        # Not ascontiguousarray, which makes a vector of one out of a scalar.
        self._constants.append(numpy_helper.from_array(np.array(array, order="C"), name))
        return name

    def _node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        from onnx import helper

        output = f"value_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output


def _quantised(matrix: Any, *, axis: int, steps: int) -> tuple[Any, Any]:
    """A matrix as int8, and the scales along ``axis`` that give it back."""
    import numpy as np

    scales = np.maximum(np.abs(matrix).max(axis=axis, keepdims=True), TINY) / steps
    return np.round(matrix / scales).astype(np.int8), scales.astype(np.float32)
