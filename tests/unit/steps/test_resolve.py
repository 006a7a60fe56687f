"""What runs, what is cached, what nobody needs; and why."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ups_core.steps.resolve import with_keys, with_states


def step(name: str, record: str, recipe: dict, inputs: dict) -> dict:
    return {"name": name, "step": name, "record": record, "recipe": recipe, "options": {}, "inputs": inputs}


CHAIN = [
    step("simulate", "runs/ds", {"nu": 1}, {}),
    step("convert", "runs/ds", {}, {"raw": "simulate"}),
    step("cache", "runs/tr", {}, {"data": "convert"}),
    step("train", "runs/tr", {"lr": 1}, {"data": "cache"}),
    step("publish", "runs/tr", {}, {"train": "train", "cache": "cache"}),
]
NAMES = [step["name"] for step in CHAIN]


def states(published: set[str], before=None, salts=None) -> dict[str, dict]:
    keyed = with_keys(CHAIN, {}, salts or {})
    return with_states(keyed, lambda name: name in published, before or {}, salts or {})


def named(result: dict[str, dict]) -> dict[str, str]:
    return {name: step["state"] for name, step in result.items()}


def test_all_runs_at_first():
    result = states(set())
    assert set(named(result).values()) == {"runs"}
    assert result["train"]["reason"] == "first run"


def test_nothing_but_publish_runs_when_all_is_cached():
    assert named(states(set(NAMES[:-1]))) == dict.fromkeys(NAMES[:-1], "cached") | {"publish": "runs"}


def test_what_was_freed_and_is_not_taken_by_anything_that_runs_is_not_made_again():
    result = named(states({"cache", "train"}))
    assert (result["simulate"], result["convert"]) == ("unneeded", "unneeded")


def test_what_was_freed_and_is_needed_is_made_again():
    assert named(states({"cache"}))["train"] == "runs"
    assert named(states({"simulate"}))["convert"] == "runs"


@given(st.sets(st.sampled_from(NAMES[:-1])))
def test_whatever_runs_finds_its_inputs(published):
    result = states(published)
    for step in result.values():
        if step["state"] == "runs" and step["step"] != "publish":
            assert all(result[giver]["state"] in ("runs", "cached") for giver in step["givers"])
    assert all(
        (step["state"] == "cached") == (name in published) for name, step in result.items() if step["version"]
    )


def test_the_reason_is_the_field_that_changed_and_then_the_input():
    first = states(set())
    before = {"runs/ds": {n: first[n] for n in NAMES[:2]}, "runs/tr": {n: first[n] for n in NAMES[2:]}}
    edited = [dict(step) for step in CHAIN]
    edited[0] = {**edited[0], "recipe": {"nu": 2}}
    keyed = with_keys(edited, {}, {})
    result = with_states(keyed, lambda name: False, before, {})
    assert result["simulate"]["reason"] == "nu 1 -> 2"
    assert result["convert"]["reason"] == "input raw changed"


def test_forcing_a_step_changes_its_key_and_what_follows():
    forced, plain = states(set(), salts={"train": "x"}), states(set())
    assert {n for n in NAMES if forced[n]["key"] != plain[n]["key"]} == {"train"}
    assert forced["train"]["reason"] == "forced"
    assert forced["publish"]["inputs"]["train"] != plain["publish"]["inputs"]["train"]


def test_fingerprints_are_part_of_the_key_and_addresses_are_not():
    def fetch(uri: str, sha: str) -> str:
        step = {"name": "fetch", "step": "fetch", "record": "r", "recipe": {"source": {}}, "inputs": {}}
        step["options"] = {"source": {"uri": uri}}
        return with_keys([step], {"fetch": [{"name": "a.h5", "sha256": sha}]}, {})["fetch"]["key"]

    assert fetch("/a", "00") == fetch("s3://b", "00") != fetch("/a", "01")
