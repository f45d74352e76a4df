"""Adapters: which parameters learn, and in what form."""
