"""Agent: the model that replies, the context it gets and the adapters it uses."""
