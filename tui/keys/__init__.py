"""The registry of keys and their bindings."""
