"""Networks. Each is built from its config and a :class:`~ups_core.models.problem.Problem`.

An architecture is a small file with one module ``forward(u, parameters)``, normalised values: channels on a
grid and the parameters that vary to channels on the same grid. What is true of a problem whatever its
network is wrapped around it by :mod:`~ups_core.models.advance`; the whole gives the next state of a
transient problem, the solution of a steady one. The first layer of every network is called ``lift`` and the
last one ``head``, which is how the optimizer tells inner weight matrices from the edges.
"""
