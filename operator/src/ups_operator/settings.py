"""What the operator is told by its environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ups_core.errors import InvalidSpec


@dataclass(frozen=True)
class Settings:
    """Settings of one operator process; the chart writes them into its Deployment."""

    #: `UPS_INSTALLATION`: YAML file with the settings of the installation, mounted from its ConfigMap.
    installation: Path = Path("/etc/ups/installation.yaml")
    #: `UPS_WATCH_NAMESPACES`: namespaces to serve, with commas between them. Default: all.
    namespaces: tuple[str, ...] = ()
    #: `UPS_RESYNC_SECONDS`: pause between two looks at everything, in case an event was missed.
    resync_seconds: int = 300
    #: `UPS_HTTP_PORT`: where /metrics and /healthz are served.
    http_port: int = 8080
    #: `UPS_WORKERS`: resources that are looked at side by side. More of them load the API server more.
    workers: int = 8

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """The settings of an environment. InvalidSpec names the variable that cannot be used."""
        names = environment.get("UPS_WATCH_NAMESPACES", "")
        return cls(
            installation=Path(environment.get("UPS_INSTALLATION") or cls.installation),
            namespaces=tuple(name.strip() for name in names.split(",") if name.strip()),
            resync_seconds=_count(environment, "UPS_RESYNC_SECONDS", cls.resync_seconds),
            http_port=_count(environment, "UPS_HTTP_PORT", cls.http_port),
            workers=_count(environment, "UPS_WORKERS", cls.workers),
        )


def _count(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isdecimal() or int(text) < 1:
        raise InvalidSpec("a setting cannot be used", where=name, found=text, expected="a number from 1 up")
    return int(text)
