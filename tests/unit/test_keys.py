"""Keys: what changes them, what does not, and how a difference is told."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from ups_core.keys import differences, flatten, key_of, reason

leaves = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=8)
recipes = st.dictionaries(
    st.text(min_size=1, max_size=6),
    st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    ),
    max_size=4,
)


@given(recipes, st.randoms())
def test_a_key_depends_on_no_order_of_fields(recipe, random):
    items = list(recipe.items())
    random.shuffle(items)
    assert key_of("s", 1, recipe, {}) == key_of("s", 1, dict(items), {})


@given(recipes)
def test_a_key_survives_a_round_trip_through_json(recipe):
    assert key_of("s", 1, recipe, {}) == key_of("s", 1, json.loads(json.dumps(recipe)), {})


@given(recipes, recipes)
def test_keys_differ_exactly_where_recipes_do(one, other):
    assert (key_of("s", 1, one, {}) == key_of("s", 1, other, {})) == (one == other)


def test_a_whole_float_is_its_integer():
    # An API server stores 1.0 as 1; both must mean the same work.
    assert key_of("s", 1, {"a": 1.0}, {}) == key_of("s", 1, {"a": 1}, {})


def test_step_version_and_inputs_are_part_of_a_key():
    keys = {
        key_of("s", 1, {}, {}),
        key_of("t", 1, {}, {}),
        key_of("s", 2, {}, {}),
        key_of("s", 1, {}, {"data": "00"}),
        key_of("s", 1, {}, {"raw": "00"}),
    }
    assert len(keys) == 5


@given(recipes)
def test_no_difference_of_a_recipe_to_itself(recipe):
    assert differences(recipe, recipe) == []


@given(recipes)
def test_every_leaf_is_told_against_nothing(recipe):
    assert len(differences({}, recipe)) == len([path for path, _ in flatten(recipe) if path])


def test_the_reason_names_the_field_and_both_values():
    old = {
        "key": "a",
        "version": 1,
        "recipe": {"config": {"lr": 0.001}},
        "inputs": {"data": "x"},
        "state": "runs",
    }
    new = {"key": "b", "version": 1, "recipe": {"config": {"lr": 0.0005}}, "inputs": {"data": "x"}}
    assert reason(new, old) == "config.lr 0.001 -> 0.0005"
    assert reason(new, None) == "first run"
    assert reason({**new, "key": "a"}, old) == "not finished before"
    assert reason({**new, "key": "a"}, {**old, "state": "cached"}) == "its object is gone"
    assert reason({**old, "key": "c", "inputs": {"data": "y"}}, old) == "input data changed"
    assert reason({**old, "key": "c", "version": 2}, old) == "recipe version 1 -> 2"


def test_many_differences_are_counted():
    old = {"key": "a", "version": 1, "recipe": {}, "inputs": {}, "state": "runs"}
    new = {"key": "b", "version": 1, "recipe": dict.fromkeys("abcde", 1), "inputs": {}}
    assert reason(new, old) == "a (none) -> 1; b (none) -> 1; c (none) -> 1; and 2 more"


def test_items_of_a_list_go_by_name_or_by_place():
    value = {"stages": [{"name": "operator", "lr": 1}], "peers": ["a", "b"], "none": []}
    assert dict(flatten(value)) == {"stages.operator.lr": 1, "peers[0]": "a", "peers[1]": "b", "none": []}
