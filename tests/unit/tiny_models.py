"""Tiny language models for tests: a random Llama of three layers, a tokenizer of bytes, and a chat template."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

MARKS = ["<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def write_tiny(folder: Path, *, seed: int = 0, template: str = TEMPLATE, **settings: object) -> Path:
    """A model in a folder, as the hub's are: its weights come from ``seed``, and ``settings`` go before the usual."""
    tokenizer = tokenizer_of_bytes(template)
    torch.manual_seed(seed)
    usual = {
        "vocab_size": len(tokenizer),
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 3,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "initializer_range": 0.3,  # large enough for answers that depend on every token
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
    }
    model = LlamaForCausalLM(LlamaConfig(**{**usual, **settings}))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tokenizer_of_bytes(template: str) -> PreTrainedTokenizerFast:
    """Each byte of UTF-8 is a token, and so is each mark of the template."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: index for index, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(MARKS)
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=MARKS[1], pad_token=MARKS[1])
    made.chat_template = template
    return made
