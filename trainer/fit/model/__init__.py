"""The base in torch, and the adapter on it."""
