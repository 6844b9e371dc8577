"""The first start: choosing a model and a night."""
