"""GGUF models run by llama.cpp in this process."""
