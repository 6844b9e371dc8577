"""Memory: what the user marked, kept so that it cannot be lost and is found again when it matters."""
