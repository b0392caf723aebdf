"""The runtime's room: who moves, and nothing moves that was not chosen. Only files in here know a runtime's inside."""
