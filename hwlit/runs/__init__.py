"""One run from data to record: what all runs share, and what each task adds."""
