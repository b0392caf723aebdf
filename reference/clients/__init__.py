"""The clients that speak the providers' real APIs. None is imported until somebody asks for it: each needs the extra `services`."""
