"""Publishing and exporting adapters."""
