"""How a step's process ends: with a small result and an exit code, whatever comes out of the step."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Any

from ups_core.errors import Preempted, UpsError


def ended(name: str, act: Callable[[], dict[str, Any]]) -> tuple[int, dict[str, Any]]:
    """Act, and turn whatever comes out into an exit code and a result."""
    try:
        return 0, act()
    except UpsError as error:
        if not isinstance(error, Preempted):
            print(f"{name}: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code, {**error.result, "error": error.to_dict()}
    except KeyboardInterrupt:
        return 130, {"error": {"reason": "Interrupted", "exitCode": 130, "message": "interrupted"}}
    except MemoryError:
        print(f"{name}: out of memory", file=sys.stderr)  # noqa: T201
        return 137, {"error": {"reason": "OutOfMemory", "exitCode": 137, "message": "out of memory"}}
    except Exception as error:  # noqa: BLE001 - the one place where a bug of ours becomes an exit code
        traceback.print_exc()
        message = f"{type(error).__name__}: {error}"
        return 1, {"error": {"reason": "InternalError", "exitCode": 1, "message": message[:4000]}}
