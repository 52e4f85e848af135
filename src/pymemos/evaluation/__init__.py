"""Evaluation: public benchmarks and a file of one's own, read, searched and scored beside the usual baselines."""
