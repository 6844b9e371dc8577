"""The chat in a browser on this machine: authentication, pages, an application for each tab."""
