"""Stands in for torchvision where a script needs a few of its transforms and nothing else."""
