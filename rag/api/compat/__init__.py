"""The APIs of other servers, for clients written for them."""

__all__ = ["geniusrise", "ollama", "petals", "tgi"]
