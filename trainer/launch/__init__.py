"""Run a training: in a child process, by a command, or as a Ray job."""
