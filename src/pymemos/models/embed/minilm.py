"""all-MiniLM-L6-v2 as int8 ONNX, built from its safetensors without torch, and checked against float32."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from pymemos.errors import ModelError

DIMENSIONS, HEADS, LAYERS = 384, 12, 6
OPSET, IR = 17, 8  # operators and file format that every onnxruntime of the last years reads
LOWEST_COSINE = 0.97  # of int8 and float32 vectors of the same sentence; below it something went wrong

SENTENCES = (
    "I moved to Lisbon in May, and my sister came along with her two dogs.",
    "What is the best way to learn to play the cello as an adult?",
    "The meeting was put off until next Friday because two of us were ill.",
    "I can't stand coriander, but I love basil.",
    "Quarterly revenue rose by 4 % while costs fell.",
    "She sold her old motorbike and bought a sailing boat.",
    "def add(a, b): return a + b",
    "Danke, das war sehr freundlich von dir.",
)


def build(weights: Path, target: Path) -> None:
    """Write the float32 graph with the weights of a safetensors file to ``target``."""
    import onnx

    onnx.save(_Builder(_tensors(weights)).model(), str(target))


def quantise(graph: Path, target: Path) -> None:
    """Write ``graph`` with its matrices as int8, each output channel with a scale of its own."""
    import logging

    from onnxruntime.quantization import QuantType, quantize_dynamic

    logging.getLogger().disabled = True  # its advice to preprocess is for graphs with convolutions
    try:
        quantize_dynamic(
            str(graph),
            str(target),
            per_channel=True,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["MatMul", "Gather"],
        )
    finally:
        logging.getLogger().disabled = False


def check(cosines: list[float]) -> float:
    """The least likeness of int8 and float32 vectors; raises ModelError where it is too little."""
    least = min(cosines)
    if least < LOWEST_COSINE:
        raise ModelError(f"the int8 model differs from the float32 one (cosine {least:.3f}); it was not installed")
    return least


def _tensors(path: Path) -> dict[str, Any]:
    """The float32 arrays of a safetensors file by name, without the prefix of the model class."""
    import numpy as np

    raw = path.read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + size])
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__" or entry["dtype"] != "F32":
            continue
        start, end = entry["data_offsets"]
        values = np.frombuffer(raw[8 + size + start : 8 + size + end], "<f4").reshape(entry["shape"])
        tensors[name.removeprefix("bert.")] = values
    return tensors


class _Builder:
    """Builds the graph of a BERT encoder with mean pooling, node by node."""

    def __init__(self, tensors: dict[str, Any]) -> None:
        self._tensors = tensors
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

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
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
        checker.check_model(model)
        return model

    def _embeddings(self) -> str:
        import numpy as np

        words = self._node("Gather", self._weight("embeddings.word_embeddings.weight"), "input_ids")
        length = self._node("Gather", self._node("Shape", "input_ids"), self._constant(np.array(1)), axis=0)
        positions = self._node("Range", self._constant(np.array(0)), length, self._constant(np.array(1)))
        table = self._tensors["embeddings.position_embeddings.weight"]
        # The token type is always the first: its row is added to every position.
        table = table + self._tensors["embeddings.token_type_embeddings.weight"][0]
        places = self._node("Gather", self._constant(table), positions)
        return self._norm(self._node("Add", words, places), "embeddings.LayerNorm")

    def _bias(self, weights: str) -> str:
        """What is added to the attention: a large negative number where a text is padded."""
        import numpy as np

        absent = self._node("Sub", self._constant(np.float32(1)), weights)
        return self._unsqueezed(self._node("Mul", absent, self._constant(np.float32(-1e4))), 1, 2)

    def _layer(self, states: str, bias: str, at: str) -> str:
        heard = self._linear(self._attention(states, bias, at), at + "attention.output.dense")
        states = self._norm(self._node("Add", heard, states), at + "attention.output.LayerNorm")
        inner = self._gelu(self._linear(states, at + "intermediate.dense"))
        thought = self._linear(inner, at + "output.dense")
        return self._norm(self._node("Add", thought, states), at + "output.LayerNorm")

    def _attention(self, states: str, bias: str, at: str) -> str:
        import numpy as np

        split = self._constant(np.array([0, 0, HEADS, DIMENSIONS // HEADS]))
        parts = {}
        for name, order in (("query", [0, 2, 1, 3]), ("key", [0, 2, 3, 1]), ("value", [0, 2, 1, 3])):
            heads = self._node("Reshape", self._linear(states, f"{at}attention.self.{name}"), split)
            parts[name] = self._node("Transpose", heads, perm=order)
        scale = self._constant(np.float32((DIMENSIONS // HEADS) ** -0.5))
        likeness = self._node("Mul", self._node("MatMul", parts["query"], parts["key"]), scale)
        shares = self._node("Softmax", self._node("Add", likeness, bias), axis=-1)
        mixed = self._node("Transpose", self._node("MatMul", shares, parts["value"]), perm=[0, 2, 1, 3])
        return self._node("Reshape", mixed, self._constant(np.array([0, 0, DIMENSIONS])))

    def _gelu(self, x: str) -> str:
        import numpy as np

        bell = self._node("Erf", self._node("Mul", x, self._constant(np.float32(0.5**0.5))))
        half = self._node("Mul", x, self._constant(np.float32(0.5)))
        return self._node("Mul", half, self._node("Add", bell, self._constant(np.float32(1))))

    def _pooled(self, states: str, weights: str) -> str:
        import numpy as np

        tokens = self._constant(np.array([1]))
        column = self._unsqueezed(weights, 2)
        total = self._node("ReduceSum", self._node("Mul", states, column), tokens, keepdims=0)
        mean = self._node("Div", total, self._node("ReduceSum", column, tokens, keepdims=0))
        return self._node("LpNormalization", mean, axis=-1, p=2)

    def _linear(self, x: str, at: str) -> str:
        matrix = self._constant(self._tensors[at + ".weight"].T)
        return self._node("Add", self._node("MatMul", x, matrix), self._weight(at + ".bias"))

    def _norm(self, x: str, at: str) -> str:
        return self._node(
            "LayerNormalization", x, self._weight(at + ".weight"), self._weight(at + ".bias"), axis=-1, epsilon=1e-12
        )

    def _unsqueezed(self, x: str, *axes: int) -> str:
        import numpy as np

        return self._node("Unsqueeze", x, self._constant(np.array(axes)))

    def _weight(self, name: str) -> str:
        return self._constant(self._tensors[name])

    def _constant(self, values: Any) -> str:
        import numpy as np
        from onnx import numpy_helper

        array = np.asarray(values)
        array = array.astype(np.float32 if array.dtype.kind == "f" else np.int64)
        name = f"constant_{len(self._constants)}"
        # Not ascontiguousarray, which makes a vector of one out of a scalar.
        self._constants.append(numpy_helper.from_array(np.array(array, order="C"), name))
        return name

    def _node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        from onnx import helper

        output = f"value_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output
