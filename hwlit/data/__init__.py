"""The LightningDataModules: read, split, tokenise once, and serve batches in a fixed order."""
