"""Solvers: the equations behind the families, integrated to far below the error of any surrogate.

One module per equation. Each offers ``simulate`` (writes a raw file as PDEBench lays it out) and
``solve`` (the classical method at the resolution of given data, which stands beside the surrogate in an
evaluation). They need scipy and h5py, so the families import them when they are called.
"""
