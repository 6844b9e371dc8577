"""Agent: the model that talks, the context it sees and the adapters it wears."""
