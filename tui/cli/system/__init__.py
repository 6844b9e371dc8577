"""Installation commands: model, config, doctor, starter, completion."""
