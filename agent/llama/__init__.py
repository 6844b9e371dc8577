"""llama.cpp: loading, generation, sampling, embedding and GGUF headers."""
