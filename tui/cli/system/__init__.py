"""Commands about the installation: model, config, doctor, starter, completion."""
