"""Run folders and the commands on them: prepare, train, sample, evaluate, compare, show, demo."""
