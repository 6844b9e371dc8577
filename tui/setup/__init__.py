"""The pages of the first start: choosing a model and a training time."""
