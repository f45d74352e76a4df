"""Exports: foreign formats, one file each, and the check in a fresh process."""
