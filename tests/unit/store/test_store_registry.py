"""The registry: a version means one key, forever."""

from __future__ import annotations

import pytest

from ups_core.errors import InvalidSpec, NotFound
from ups_core.store import Store, lookup, register


def test_a_version_is_taken_once(store: Store) -> None:
    first = {"key": "aaa", "registered": "2030-01-01T00:00:00Z"}
    assert register(store, "default", "burgers", "v1", first) == first
    again = {"key": "aaa", "registered": "2031-01-01T00:00:00Z"}
    assert register(store, "default", "burgers", "v1", again) == first
    with pytest.raises(InvalidSpec, match="version v1 of dataset burgers is taken") as caught:
        register(store, "default", "burgers", "v1", {"key": "bbb", "registered": "2031"})
    assert (caught.value.details["found"], caught.value.details["expected"]) == ("key aaa", "key bbb")
    assert lookup(store, "default", "burgers", "v1") == first


def test_no_version_means_the_newest(store: Store) -> None:
    for version, registered in (("a", "2030"), ("b", "2032"), ("c", "2031")):
        register(store, "default", "burgers", version, {"key": version, "registered": registered})
    register(store, "other", "burgers", "z", {"key": "z", "registered": "2040"})
    assert lookup(store, "default", "burgers")["key"] == "b"
    assert lookup(store, "default", "burgers", "a")["key"] == "a"


@pytest.mark.parametrize(
    ("name", "version", "found"),
    [
        ("burgers", "v2", "versions v0, v1"),
        ("darcy", None, "datasets burgers"),
    ],
)
def test_what_is_there_is_told(store: Store, name: str, version: str | None, found: str) -> None:
    for each in ("v1", "v0"):
        register(store, "default", "burgers", each, {"key": each})
    with pytest.raises(NotFound) as caught:
        lookup(store, "default", name, version)
    assert caught.value.details["found"] == found


def test_an_empty_store(store: Store) -> None:
    with pytest.raises(NotFound) as caught:
        lookup(store, "default", "burgers")
    assert caught.value.details["found"] == "no dataset at all"


@pytest.mark.parametrize("version", ["", "../x", "a/b", ".hidden"])
def test_names_stay_in_their_folder(store: Store, version: str) -> None:
    with pytest.raises(InvalidSpec, match="not a name"):
        register(store, "default", "burgers", version, {"key": "a"})
