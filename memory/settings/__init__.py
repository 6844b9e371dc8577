"""Settings and the folders of one user."""
