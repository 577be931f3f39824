"""Writes a real GGUF model of half a megabyte that says what a test wants it to say.

It is a llama with a byte-fallback vocabulary whose attention and feed-forward layers add nothing: the next token hangs
on the last one only. The output row of each word points to the embedding of the word before it, so that from the end
of the prompt the model walks through the reply, word by word, and then ends (or starts over).
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

import gguf
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]

WIDTH, FEED_FORWARD, LAYERS, HEADS, KEY_VALUE_HEADS = 64, 128, 2, 4, 2
SPECIAL = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "<|im_start|>", "<|im_end|>"]
UNKNOWN, BEGIN, END, REPLY_AFTER, CHATML_END = 0, 1, 2, SPECIAL.index("[/INST]"), SPECIAL.index("<|im_end|>")
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
CHARACTERS = ["▁", *map(chr, range(33, 127)), *"äöüÄÖÜß"]

MISTRAL_STRICT = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}"
    "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"
)
DROPS_SYSTEM = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}{% endif %}{% endfor %}"
)
WITH_SYSTEM = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ '<|im_start|>' + message['content'] + '<|im_end|>' }}"
    "{% elif message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% else %}{{ message['content'] + eos_token }}{% endif %}{% endfor %}"
)
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def write_tiny_gguf(
    path: Path, reply: str, *, endless: bool = False, template: str = MISTRAL_STRICT, context_window: int = 512
) -> Path:
    """Write a model that answers every prompt with `reply`, word by word, and over and over when `endless`.

    A word occurs once only, since a token's successor hangs on that token alone. Words beyond ASCII are given to the
    model byte by byte, as models with a small vocabulary do. Returns `path`.
    """
    words = [word.replace(" ", "▁") for word in re.findall(r"\s*\S+", reply)]
    whole_words = [word for word in words if is_plain(word)]
    tokens = [*SPECIAL, *BYTES, *CHARACTERS, *whole_words]
    number = {token: index for index, token in enumerate(tokens)}
    steps = [step for word in words for step in ([word] if is_plain(word) else byte_tokens(word))]
    if len(set(steps)) != len(steps):
        raise ValueError("each word (and each byte of a word beyond ASCII) may occur once only")

    chatml = template == CHATML
    end = CHATML_END if chatml else END
    first = number["<0x0A>"] if chatml else REPLY_AFTER  # the last token of the prompt
    path_of_tokens = [first, *(number[step] for step in steps)]
    path_of_tokens.append(path_of_tokens[1] if endless else end)

    embedding = random_embedding(len(tokens))
    output = np.zeros_like(embedding)
    for before, after in itertools.pairwise(path_of_tokens):
        output[after] += 8 * embedding[before]
    write_gguf(path, tokens, embedding, output, template=template, context_window=context_window, end=end)
    return path


def write_gguf(
    path: Path,
    tokens: list[str],
    embedding: Matrix,
    output: Matrix,
    *,
    template: str,
    context_window: int,
    end: int = END,
) -> None:
    """Write the model whose layers add nothing, of these weights, each of shape (len(tokens), WIDTH). `tokens` are
    SPECIAL, BYTES and CHARACTERS, and then words; `end` is the number of the one that ends a reply."""
    writer = gguf.GGUFWriter(str(path), "llama")
    _write_shape(writer, len(tokens), context_window)
    _write_tokenizer(writer, tokens, end, add_begin=end == END)
    writer.add_chat_template(template)
    _write_weights(writer, embedding, output)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def random_embedding(vocabulary: int) -> Matrix:
    """The same for every run, of shape (vocabulary, WIDTH): vectors of length 1."""
    embedding = np.random.default_rng(0).standard_normal((vocabulary, WIDTH)).astype(np.float32)
    unit: Matrix = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
    return unit


def is_plain(word: str) -> bool:
    """Whether a word is a token of its own, and not given byte by byte."""
    return word.replace("▁", "").isascii()


def byte_tokens(word: str) -> list[str]:
    """The tokens of a word that is given byte by byte."""
    return [f"<0x{byte:02X}>" for byte in word.replace("▁", " ").encode()]


def _write_shape(writer: gguf.GGUFWriter, vocabulary: int, context_window: int) -> None:
    writer.add_name("tiny")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_context_length(context_window)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_VALUE_HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(vocabulary)


def _write_tokenizer(writer: gguf.GGUFWriter, tokens: list[str], end: int, *, add_begin: bool) -> None:
    kind = gguf.TokenType
    without_score = len(SPECIAL) + len(BYTES)
    normal = len(tokens) - without_score
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    special = [kind.UNKNOWN, *[kind.CONTROL] * (len(SPECIAL) - 1)]
    writer.add_token_types([*special, *[kind.BYTE] * len(BYTES), *[kind.NORMAL] * normal])
    writer.add_token_scores([0.0] * without_score + [-float(rank) for rank in range(normal)])
    writer.add_unk_token_id(UNKNOWN)
    writer.add_bos_token_id(BEGIN)
    writer.add_eos_token_id(end)
    writer.add_add_bos_token(add_begin)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)


def _write_weights(writer: gguf.GGUFWriter, embedding: Matrix, output: Matrix) -> None:
    writer.add_tensor("token_embd.weight", embedding)
    writer.add_tensor("output.weight", output)
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    key_value_width = WIDTH * KEY_VALUE_HEADS // HEADS
    shapes = {
        "attn_q": (WIDTH, WIDTH),
        "attn_k": (key_value_width, WIDTH),
        "attn_v": (key_value_width, WIDTH),
        "attn_output": (WIDTH, WIDTH),
        "ffn_gate": (FEED_FORWARD, WIDTH),
        "ffn_up": (FEED_FORWARD, WIDTH),
        "ffn_down": (WIDTH, FEED_FORWARD),
    }
    for layer in range(LAYERS):
        for norm in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{norm}.weight", np.ones(WIDTH, np.float32))
        for name, shape in shapes.items():
            writer.add_tensor(f"blk.{layer}.{name}.weight", np.zeros(shape, np.float32))
