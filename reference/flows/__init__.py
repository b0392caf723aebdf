"""The flows: what the service does, one file per noun. Each takes the `Service` first and holds no state of its own."""
