"""Tasks: the loss, the metrics and the optimizer around a network with an adapter."""
