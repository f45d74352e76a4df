"""Everything that makes the offline image models: the scenes, the trainings, the judge."""
