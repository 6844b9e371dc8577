"""Model files: known ones, downloads, what they can do on this machine."""
