"""Engines run a plan: ``local`` as processes of this machine."""
