"""Networks. Each is built from its config and a :class:`~ups_core.models.problem.Problem`.

All share one protocol, on normalised values: ``forward(u, parameters)`` gives the next state of a
transient problem, ``forward(a, parameters)`` the solution of a steady one. The first layer of every
network is called ``lift`` and the last one ``head``, which is how the optimizer tells inner weight
matrices from the edges.
"""
