"""Fine-tuning: the backbone learns as well, its last stage or all of it."""
