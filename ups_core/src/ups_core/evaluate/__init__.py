"""Judging a trained surrogate: metrics, closed-loop rollouts, and the peers it must beat."""
