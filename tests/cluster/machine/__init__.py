"""A real cluster on one machine, without a registry or a container engine.

``python -m machine up`` starts it, from programs that are built once (``build``). It lives in a box of
Linux namespaces (``box``) in which its programs run (``services``); images are brought in from archives
(``containers``); ``cluster`` starts and ends it all, and ``client`` asks it and changes it.
"""
