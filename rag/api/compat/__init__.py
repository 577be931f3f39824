"""The APIs of other servers, for clients written for them: Ollama's and TGI's, and, where RAG_SERVER__OLDER_CLIENTS is
set, Geniusrise's and Petals'."""

__all__ = ["geniusrise", "ollama", "petals", "tgi"]
