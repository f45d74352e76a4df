"""Measure what a fine-tuning method costs on your machine."""

__version__ = "0.1.0"
