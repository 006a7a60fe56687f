"""A cluster as the ``ups`` command sees it: its runs, their pods, and whether it is fit for them.

Everything goes through :mod:`~ups_workflows.cluster.client`, as plain JSON. What is decided from that
JSON is pure, and apart from the asking: ``nodes``, ``manifests``, ``checks``.
"""
