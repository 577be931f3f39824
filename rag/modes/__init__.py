"""What else one can ask of documents and models: each mode is a small composition of what the engine does."""
