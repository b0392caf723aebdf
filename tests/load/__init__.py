"""The load run: real processes, real databases, real sockets, and everything that goes wrong; no simulator. See docs/operations.md."""
