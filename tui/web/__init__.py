"""The chat in a browser on this machine: who may come in, the pages, an application for each tab."""
