"""The APIs of other servers, for clients written for them; off unless RAG_SERVER__OLDER_CLIENTS is set."""
