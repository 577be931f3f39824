"""The kernel and the read side of Footnote: catalog, index, retrieval, answers, API and chat."""
