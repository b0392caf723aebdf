"""The same programs under this project and its peers, in one run: `tox -e bench-peers`, which writes peers.json."""
