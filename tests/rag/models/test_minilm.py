"""The default model on a processor: the vectors of torch, for many threads, with nothing said to anybody."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from rag.errors import ConfigurationError
from rag.models.embedding_base import bundled_model
from rag.models.minilm import MiniLMEmbedding
from rag.models.sentence_transformer import SentenceTransformerEmbedding
from rag.settings import EmbeddingSettings

SAMPLE = Path(__file__).parents[3] / "data" / "sample"
LONG = "The pump must be drained before frost, and its valve be left open until spring. " * 20

WITHOUT_TRACE = """
import atexit, sys
heard = []
atexit.register(lambda: print(heard))  # after all threads have ended
watched = ("socket.", "os.fork", "os.posix_spawn", "subprocess.")  # reports are sent by a process forked for it
sys.addaudithook(lambda event, _: heard.append(event) if event.startswith(watched) else None)
from rag.models.embedding import open_embedding
from rag.settings import EmbeddingSettings
embedding = open_embedding(EmbeddingSettings(device="cpu"))
embedding.embed_passages(["a passage"])
embedding.embed_query("a question")
print([name for name in ("torch", "transformers", "sentence_transformers") if name in sys.modules])
"""


@pytest.fixture(scope="module")
def by_torch():
    return SentenceTransformerEmbedding(EmbeddingSettings(device="cpu"))


@pytest.fixture(scope="module")
def texts():
    paragraphs = [
        paragraph
        for name in ("faq.html", "minutes-2024-03.md", "price-list.csv", "travel-policy-2022.txt")
        for paragraph in (SAMPLE / name).read_text(encoding="utf-8").split("\n\n")
        if paragraph.strip()
    ]
    return [*paragraphs, LONG, "", "Wie lange gilt die Garantie? 保証期間 🙂"]


@pytest.mark.slow
def test_vectors_are_those_of_torch_but_for_rounding(minilm, by_torch, texts):
    expected = by_torch.embed_passages(texts)
    cosines = (minilm.embed_passages(texts) * expected).sum(axis=1)
    assert isinstance(minilm, MiniLMEmbedding)
    assert cosines.mean() > 0.998
    assert cosines.min() > 0.99
    assert minilm.embed_query(texts[0]) @ by_torch.embed_query(texts[0]) > 0.997


def test_without_rounding_the_graph_is_the_model(minilm, by_torch):
    import openvino as ov

    from rag.models.minilm_graph import build_graph

    graph = build_graph(bundled_model(), eight_bit=False)
    model = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    ids = np.array([[101, 7592, 2088, 102]], dtype=np.int32)
    assert np.allclose(model([ids])[0], by_torch.embed_passages(["hello world"]), atol=1e-5)


def test_an_index_may_move_between_the_back_ends(minilm, by_torch):
    assert minilm.fingerprint == by_torch.fingerprint
    assert (minilm.dimension, minilm.max_tokens) == (by_torch.dimension, by_torch.max_tokens)


def test_each_text_gets_its_own_vector_whatever_is_embedded_with_it(minilm, texts):
    together = minilm.embed_passages(texts)
    alone = np.stack([minilm.embed_passages([text])[0] for text in texts])
    assert together.dtype == np.float32
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    assert np.array_equal(together, alone)
    assert minilm.embed_passages([]).shape == (0, minilm.dimension)


def test_many_threads_get_the_vectors_of_one(minilm, texts):
    expected = minilm.embed_passages(texts)
    question = minilm.embed_query("How long is the warranty?")
    with ThreadPoolExecutor(6) as pool:
        passages = [pool.submit(minilm.embed_passages, texts) for _ in range(3)]
        questions = [pool.submit(minilm.embed_query, "How long is the warranty?") for _ in range(30)]
        assert all(np.allclose(done.result(), expected, atol=1e-5) for done in passages)
        assert all(np.allclose(done.result(), question, atol=1e-5) for done in questions)


def test_a_question_does_not_wait_for_an_ingest(minilm):
    minilm.embed_passages(["compiled before"])
    ingest = threading.Thread(target=minilm.embed_passages, args=([LONG] * 64,))
    ingest.start()
    for _ in range(3):
        minilm.embed_query("How long is the warranty?")
    asked_in_time = ingest.is_alive()
    ingest.join()
    assert asked_in_time


def test_a_prefix_takes_its_room_from_the_text(minilm):
    folder = bundled_model()
    prefixed = MiniLMEmbedding(EmbeddingSettings(passage_prefix="passage: "), folder)
    assert prefixed.max_tokens == minilm.max_tokens - 2
    assert prefixed.fingerprint != minilm.fingerprint
    assert np.allclose(prefixed.embed_passages(["frost"]), minilm.embed_passages(["passage: frost"]), atol=1e-5)
    with pytest.raises(ConfigurationError, match="The passage prefix has 300 tokens"):
        MiniLMEmbedding(EmbeddingSettings(passage_prefix="word " * 300), folder)


@pytest.mark.slow
def test_nothing_is_sent_nothing_is_left_at_home_and_torch_is_not_needed(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "TF_BUILD", "JENKINS_URL")}
    places = {"HOME": str(tmp_path), "LOCALAPPDATA": str(tmp_path), "PYTHONPATH": str(SAMPLE.parents[1])}
    command = [sys.executable, "-c", WITHOUT_TRACE]
    ran = subprocess.run(command, env=environment | places, capture_output=True, text=True, timeout=120, check=False)
    assert ran.stdout.strip() == "[]\n[]", ran.stderr
    assert list(tmp_path.iterdir()) == []
