"""From raw files to training arrays.

A data set passes four doors, each a step that publishes what it made:

1. :mod:`~ups_core.data.sources` lists the raw files and gives them an identity, and
   :mod:`~ups_core.data.transfer` fetches them (or a family's solver simulates them);
2. :mod:`~ups_core.data.convert` streams every raw layout into one canonical form, ``u`` (N, T, C, X[, Y]);
3. :mod:`~ups_core.data.validate` refuses what is not physics, and :mod:`~ups_core.data.splits` deals
   the initial states out to train, val and test;
4. :mod:`~ups_core.data.cache` writes each split as plain ``.npy`` files that training maps into memory.

What depends on the physical problem is declared in :mod:`~ups_core.data.families`.
"""
