"""One tiny model as a GGUF file (for llama.cpp) and as a Mistral folder (for vLLM), alike to the last weight.

Its template is Mistral's strict one, and repeats the last character of the question at the end of the prompt. Its
layers add nothing, so that the next token hangs on the last one only: from that character it walks through the reply
that belongs to it.
"""

from __future__ import annotations

import itertools
import json
import re
import string
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, normalizers

from tests.tiny_gguf import (
    BEGIN,
    BYTES,
    CHARACTERS,
    END,
    FEED_FORWARD,
    HEADS,
    KEY_VALUE_HEADS,
    LAYERS,
    MISTRAL_STRICT,
    SPECIAL,
    WIDTH,
    byte_tokens,
    is_plain,
    random_embedding,
    write_gguf,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.tiny_gguf import Matrix

CONTEXT_WINDOW = 4096
TEMPLATE = MISTRAL_STRICT + "{{ messages[-1]['content'][-1] }}"
# The last character of a question → the reply. No word (and no byte of a word beyond ASCII) comes twice.
PLAIN, UNICODE, ENDLESS, COINS = "?", "*", "!", "#"
CROWD = string.ascii_letters + string.digits + "+="
REPLIES = {
    PLAIN: "The pump needs oil every 90 days [1].",
    UNICODE: "Öl日🛢 e\N{COMBINING ACUTE ACCENT}",
    ENDLESS: " again and",
    COINS: " heads tails",
    **{key: f"Valve-{key} opens-{key} at-{key}-bar." for key in CROWD},
}
_HEAD_WIDTH = 32  # the smallest that vLLM knows
_SURE = 8.0  # so long, a weight gives its word all of the probability


def write_tiny_gguf(path: Path) -> None:
    """The model as one GGUF file."""
    tokens, embedding, output = _weights()
    write_gguf(path, tokens, embedding, output, template=TEMPLATE, context_window=CONTEXT_WINDOW)


def write_tiny_mistral(folder: Path) -> None:
    """The model as a folder that transformers and vLLM load: a MistralForCausalLM in float32."""
    tokens, embedding, output = _weights()
    folder.mkdir()
    _write_json(folder / "config.json", _config(len(tokens)))
    _write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": SPECIAL[BEGIN],
            "eos_token": SPECIAL[END],
            "unk_token": SPECIAL[0],
            "chat_template": TEMPLATE,
            "model_max_length": CONTEXT_WINDOW,
            "clean_up_tokenization_spaces": False,
        },
    )
    _tokenizer(tokens).save(str(folder / "tokenizer.json"))
    save_file(_tensors(embedding, output), folder / "model.safetensors", {"format": "pt"})


def _weights() -> tuple[list[str], Matrix, Matrix]:
    """The vocabulary, and two weights of shape (vocabulary, WIDTH): the output row of a word points to the embedding of
    the one before it."""
    walks = {key: _steps(reply) for key, reply in REPLIES.items()}
    steps = [step for walk in walks.values() for step in walk]
    if len(set(steps)) != len(steps):
        raise ValueError("a word comes twice")
    words = [step for step in steps if step not in BYTES]
    tokens = [*SPECIAL, *BYTES, *CHARACTERS, *words]
    number = {token: index for index, token in enumerate(tokens)}
    embedding = random_embedding(len(tokens))
    last = [number[walk[-1]] for key, walk in walks.items() if key not in (ENDLESS, COINS)]
    _align(embedding, last, with_token=END)
    output = np.zeros_like(embedding)
    output[END] = _SURE * embedding[END]
    for key, walk in walks.items():
        path = [number[token] for token in (key, *walk)]
        if key == COINS:  # one after the other, in any order; the first is a little likelier
            for rank, coin in enumerate(path[1:]):
                output[coin] = _SURE * (1 - 0.002 * rank) * embedding[path].sum(axis=0)
            continue
        if key == ENDLESS:
            path.append(path[1])
        for before, after in itertools.pairwise(path):
            output[after] += _SURE * embedding[before]
    return tokens, embedding, output


def _align(embedding: Matrix, tokens: list[int], with_token: int) -> None:
    """Turn the vectors of some tokens towards that of one."""
    turned = embedding[tokens] + 2 * embedding[with_token]
    embedding[tokens] = turned / np.linalg.norm(turned, axis=1, keepdims=True)


def _steps(reply: str) -> list[str]:
    words = [word.replace(" ", "▁") for word in re.findall(r"\s*\S+", reply)]
    return [step for word in words for step in ([word] if is_plain(word) else byte_tokens(word))]


def _config(vocabulary: int) -> dict[str, object]:
    return {
        "architectures": ["MistralForCausalLM"],
        "model_type": "mistral",
        "vocab_size": vocabulary,
        "hidden_size": WIDTH,
        "intermediate_size": FEED_FORWARD,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KEY_VALUE_HEADS,
        "head_dim": _HEAD_WIDTH,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "sliding_window": None,
        "max_position_embeddings": CONTEXT_WINDOW,
        "tie_word_embeddings": False,
        "bos_token_id": BEGIN,
        "eos_token_id": END,
        "torch_dtype": "float32",
    }


def _tokenizer(tokens: list[str]) -> Tokenizer:
    """As Llama's and Mistral's: what is no token is spelled in characters, and those that are none in bytes."""
    numbers = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=numbers, merges=[], unk_token=SPECIAL[0], byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens(SPECIAL)
    return tokenizer


def _tensors(embedding: Matrix, output: Matrix) -> dict[str, Matrix]:
    ones = np.ones(WIDTH, np.float32)
    attention, keys = HEADS * _HEAD_WIDTH, KEY_VALUE_HEADS * _HEAD_WIDTH
    shapes = {
        "self_attn.q_proj": (attention, WIDTH),
        "self_attn.k_proj": (keys, WIDTH),
        "self_attn.v_proj": (keys, WIDTH),
        "self_attn.o_proj": (WIDTH, attention),
        "mlp.gate_proj": (FEED_FORWARD, WIDTH),
        "mlp.up_proj": (FEED_FORWARD, WIDTH),
        "mlp.down_proj": (WIDTH, FEED_FORWARD),
    }
    tensors = {"model.embed_tokens.weight": embedding, "lm_head.weight": output, "model.norm.weight": ones}
    for layer in range(LAYERS):
        for norm in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"model.layers.{layer}.{norm}.weight"] = ones
        for name, shape in shapes.items():
            tensors[f"model.layers.{layer}.{name}.weight"] = np.zeros(shape, np.float32)
    return tensors


def _write_json(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
