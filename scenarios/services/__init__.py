"""Stand-ins for the services around a backend that takes money: ordinary ASGI applications, one for each provider.

One code for the simulation, a demo on loopback and a load run: clock and chance come from outside, state is in memory, and
none of them sleeps. `in_world` puts one into a world. What a stand-in does not model is at the top of its file.
"""
