"""Where the training step runs: child process, command or Ray job."""
