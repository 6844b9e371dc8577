"""A LangChain chat model on top of the engine."""
