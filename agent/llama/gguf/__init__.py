"""GGUF files: what is in them, and loading them with llama.cpp."""
