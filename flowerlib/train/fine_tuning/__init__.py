"""Fine-tuning: the backbone learns as well."""
