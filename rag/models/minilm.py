"""The default embedding model on a processor, by OpenVINO: twice the speed of torch and more, and open in a second."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag.models.embedding_base import BUNDLED_SHA256, COSINE, fingerprint, room_for_text
from rag.models.privacy import silence_openvino
from rag.settings import EmbeddingSettings

if TYPE_CHECKING:
    from openvino import CompiledModel, InferRequest

    from rag.types.documents import Vector

_MOST_QUESTIONS_AT_ONCE = 4
_MODEL_TOKENS = 256  # what the model was trained to read; its tokenizer.json says less


class MiniLMEmbedding:
    """all-MiniLM-L6-v2 in this process, without torch; safe to use from several threads.

    Passages are embedded side by side, one a core, in the order they were asked for. Questions have a compiled model of
    their own and wait for no passage.
    """

    dimension = 384
    passages_at_once = 1
    is_multilingual = False
    similarity_scale = scale_across_languages = COSINE

    def __init__(self, settings: EmbeddingSettings, folder: Path) -> None:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its threads and our child processes do not mix
        from tokenizers import Tokenizer

        self.name = settings.model
        self.fingerprint = fingerprint(settings, BUNDLED_SHA256, self.dimension)
        self._settings = settings
        self.tokenizer = (folder / "tokenizer.json").read_text(encoding="utf-8")
        self.max_tokens = room_for_text(settings, self.tokenizer, _MODEL_TOKENS)
        self._tokenizer = Tokenizer.from_str(self.tokenizer)
        self._tokenizer.enable_truncation(_MODEL_TOKENS)
        self._tokenizer.no_padding()
        self._compile = _compiler(folder)
        streams = min(_MOST_QUESTIONS_AT_ONCE, os.cpu_count() or 1)
        self._questions = _Requests(self._compile({"NUM_STREAMS": streams, "INFERENCE_NUM_THREADS": streams}))
        self._passages: Callable[[Iterable[Sequence[int]]], Iterator[Vector]] | None = None
        self._passages_lock = threading.Lock()

    def embed_passages(self, texts: Sequence[str]) -> Vector:
        """Vectors of shape (len(texts), dimension), float32, each of length 1."""
        import numpy as np

        encodings = self._tokenizer.encode_batch([(self._settings.passage_prefix or "") + text for text in texts])
        # Long ones first, so that no core is left with a long one at the end.
        order = sorted(range(len(texts)), key=lambda place: -len(encodings[place].ids))
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        for place, vector in zip(order, self._embed_all(encodings[place].ids for place in order), strict=True):
            vectors[place] = vector
        return vectors

    def embed_query(self, text: str) -> Vector:
        """One vector of shape (dimension,), float32, of length 1."""
        tokens = self._tokenizer.encode((self._settings.query_prefix or "") + text).ids
        return self._questions.embed(tokens)

    def _embed_all(self, texts: Iterable[Sequence[int]]) -> Iterator[Vector]:
        """The vector of each text, given its token ids, a thread for each that can be worked on at once. The model is
        compiled when first needed: who only asks questions need not wait for it."""
        with self._passages_lock:
            if self._passages is None:
                model = self._compile({"PERFORMANCE_HINT": "THROUGHPUT", **_thread_limit()})
                threads = ThreadPoolExecutor(int(model.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")), "embedding")
                self._passages = partial(threads.map, _Requests(model).embed)
        return self._passages(texts)


class _Requests:
    """A compiled model and a request to it for each thread: a request serves one at a time."""

    def __init__(self, model: CompiledModel) -> None:
        self._model = model
        self._of_thread = threading.local()

    def embed(self, tokens: Sequence[int]) -> Vector:
        """The vector of one text, given its token ids."""
        import numpy as np

        if not hasattr(self._of_thread, "request"):
            self._of_thread.request = self._model.create_infer_request()
        request: InferRequest = self._of_thread.request
        request.infer([np.array([tokens], dtype=np.int32)])
        vector: Vector = request.get_output_tensor(0).data[0].copy()
        return vector


def _compiler(folder: Path) -> Callable[[dict[str, Any]], CompiledModel]:
    """Compiles the model in `folder` with some of OpenVINO's properties."""
    silence_openvino()
    import openvino as ov

    from rag.models.minilm_graph import build_graph

    graph = build_graph(folder, eight_bit=_multiplies_bytes())
    # f32: everywhere but in the products that the graph marks. No pinning: other processes need the cores as well.
    # Kernels are kept for few lengths of text: for all, every core would fill some 100 MB.
    common = {"INFERENCE_PRECISION_HINT": "f32", "ENABLE_CPU_PINNING": False, "CPU_RUNTIME_CACHE_CAPACITY": 64}
    core = ov.Core()
    return lambda properties: core.compile_model(graph, "CPU", common | properties)


def _thread_limit() -> dict[str, int]:
    """As many threads as the usual variable says, by which Ray gives each of its workers its share of a machine."""
    threads = os.environ.get("OMP_NUM_THREADS", "")
    return {"INFERENCE_NUM_THREADS": int(threads)} if threads.isdecimal() and int(threads) else {}


def _multiplies_bytes() -> bool:
    """Whether the processor has instructions for 8-bit products (VNNI); without them such products may overflow."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:
        return False
    return "avx512_vnni" in flags or "avx_vnni" in flags
