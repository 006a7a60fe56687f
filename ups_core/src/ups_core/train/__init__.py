"""Training: one loop for all stages, and what it is made of.

:mod:`~ups_core.train.tasks` says what a stage learns (samples in, losses out, a figure to judge by),
:mod:`~ups_core.train.loop` trains any of them, and the rest are its parts: schedule, optimizer,
normaliser, augmentation, checkpoints.
"""
