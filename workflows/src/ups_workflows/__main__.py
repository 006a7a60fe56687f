"""``python -m ups_workflows`` is ``ups``."""

from ups_workflows.cli import main

main()
