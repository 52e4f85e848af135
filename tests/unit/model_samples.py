"""Small models for tests: a folder as an ONNX export leaves it, with a table of word vectors for an encoder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

WORDS = ("[UNK]", "[CLS]", "[SEP]", *"i moved to lisbon in may my sister has two dogs query text : .".split())
DIMENSIONS = 16


def write_model(
    folder: Path,
    *,
    file: str = "model.onnx",
    inputs: tuple[str, ...] = ("input_ids", "attention_mask", "token_type_ids"),
    pooled: bool = False,
    **configs: Any,
) -> Path:
    """Write a model to ``folder``; ``configs`` are its JSON files by name, with __ for / and without the ending."""
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    onnx.save(_graph(inputs, pooled=pooled), folder / file)
    _tokenizer().save(str(folder / "tokenizer.json"))
    for name, config in configs.items():
        path = folder / f"{name.replace('__', '/')}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(config))
    return folder


def _graph(inputs: tuple[str, ...], *, pooled: bool) -> Any:
    """The vector of each token; with ``pooled`` also the last one as the sentence's, which nobody would guess."""
    table = np.random.default_rng(7).normal(size=(len(WORDS), DIMENSIONS)).astype(np.float32)
    constants = [numpy_helper.from_array(table, "table"), numpy_helper.from_array(np.array(-1), "last")]
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"])]
    outputs = [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["n", "t", DIMENSIONS])]
    if pooled:
        nodes.append(helper.make_node("Gather", ["last_hidden_state", "last"], ["sentence_embedding"], axis=1))
        outputs.append(helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, ["n", DIMENSIONS]))
    given = [helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "t"]) for name in inputs]
    graph = helper.make_graph(nodes, "words", given, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))  # noqa: S106
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return tokenizer
