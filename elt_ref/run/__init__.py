"""A run folder and everything done with one: prepare, train, sample, evaluate, show, demo."""
