from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ups_core.data.families import family
from ups_core.data.splits import Sample, check_where, shared_states, split
from ups_core.errors import InvalidSpec


def files_of(states: dict[str, list[str]], parameters: dict[str, float] | None = None) -> list[Sample]:
    """Samples of raw files: name to the states in it, in order."""
    return [
        Sample(f"{name}.h5", f"{name}.hdf5", index, state, {"Nu": (parameters or {}).get(name, 0.01)})
        for name, each in states.items()
        for index, state in enumerate(each)
    ]


def single(count: int) -> list[Sample]:
    return files_of({"a": [f"s{i}" for i in range(count)]})


def ranked(values: dict[str, float], count: int = 1) -> list[Sample]:
    """Every state in ``count`` files, with the value of its statistic."""
    each = files_of(
        {f"f{i}": list(values) for i in range(count)}, {f"f{i}": 0.01 * (i + 1) for i in range(count)}
    )
    return [sample._replace(statistics={"rms": values[sample.state]}) for sample in each]


def states(samples) -> set[str]:
    return {sample.state for sample in samples}


@st.composite
def multi_parameter_sets(draw):
    """Files that share initial states, as files of several viscosities do."""
    pool = [f"s{i}" for i in range(draw(st.integers(12, 40)))]
    names = draw(st.lists(st.sampled_from(["Nu0.01", "Nu0.1", "Nu1.0", "other"]), min_size=1, unique=True))
    return files_of(
        {name: draw(st.lists(st.sampled_from(pool), min_size=12, max_size=40, unique=True)) for name in names}
    )


SPECS = [
    {"train": 0.8, "val": 0.1, "test": 0.1},
    {"train": 4, "val": 2, "test": 3},
    {"train": {"pattern": "*", "count": 5}, "val": {"pattern": "*", "count": 2}, "test": {"pattern": "*"}},
    {"train": 3, "val": 2, "test": {"where": {"Nu": 0.01}, "fraction": 0.3}, "more": {"pattern": "other*"}},
]


@given(multi_parameter_sets(), st.sampled_from(SPECS), st.integers(0, 5), st.randoms(use_true_random=False))
def test_no_state_in_two_splits_whatever_the_order_of_files(
    samples: list[Sample], spec: dict, seed: int, rng: random.Random
) -> None:
    try:
        result = split(samples, spec, seed)
    except InvalidSpec:
        return  # too few states: see the tests of messages
    assert not shared_states(result.samples)
    chosen = [states(result.samples[name]) for name in ("train", "val", "test")]
    assert sum(map(len, chosen)) == len(set.union(*chosen))
    rng.shuffle(samples)
    assert split(samples, spec, seed).to_json() == result.to_json()


@given(st.integers(10, 200), st.integers(0, 3))
def test_fractions_use_every_state(count: int, seed: int) -> None:
    result = split(single(count), {"train": 0.8, "val": 0.1, "test": 0.1}, seed)
    sizes = {name: len(each) for name, each in result.samples.items()}
    assert sum(sizes.values()) == count
    assert abs(sizes["train"] - 0.8 * count) <= 1
    assert abs(sizes["test"] - 0.1 * count) <= 1


def test_counts_are_honoured_and_the_seed_matters():
    spec = {"train": 116, "val": 12, "test": 32}
    results = [split(single(160), spec, seed) for seed in (0, 0, 1)]
    assert {name: len(each) for name, each in results[0].samples.items()} == spec
    assert results[0].to_json() == results[1].to_json() != results[2].to_json()


def test_all_parameters_of_a_state_go_together():
    shared = [f"s{i}" for i in range(20)]
    samples = files_of({"Nu0.01": shared, "Nu0.1": shared[::-1]}, {"Nu0.01": 0.01, "Nu0.1": 0.1})
    result = split(samples, {"train": 12, "val": 4, "test": 4})
    assert [len(result.samples[name]) for name in ("train", "val", "test")] == [24, 8, 8]
    assert result.to_json()["test"][0]["file"] == "Nu0.01.h5"


def test_held_out_parameter_shares_no_state_with_training():
    shared = [f"s{i}" for i in range(20)]
    samples = files_of({"low": shared, "high": shared}, {"low": 0.01, "high": 0.1})
    result = split(samples, {"train": 0.7, "val": 0.1, "test": {"where": {"Nu": 0.1}, "fraction": 0.2}})
    assert {sample.parameters["Nu"] for sample in result.samples["train"]} == {0.01}
    assert {sample.parameters["Nu"] for sample in result.samples["test"]} == {0.1}
    assert len(result.samples["test"]) == 4
    assert not shared_states(result.samples)


def test_splits_by_file_drop_and_count_what_was_trained_on():
    samples = files_of(
        {"train_16": ["a", "b", "c", "d"], "test_16": ["c", "x", "y"], "test_32": ["p", "q", "d"]}
    )
    spec = {
        "train": {"pattern": "train*", "count": 3},
        "val": {"pattern": "train*", "count": 1},
        "test": {"pattern": "test_16*"},
        "test32": {"pattern": "test_32*"},
    }
    result = split(samples, spec)
    assert [sample.state for sample in result.samples["test"]] == ["x", "y"]
    assert states(result.samples["test32"]) == {"p", "q"}
    assert result.dropped == {"train": 0, "val": 0, "test": 1, "test32": 1}
    assert result.to_json()["test"] == [{"file": "test_16.h5", "indices": [1, 2]}]


def test_plain_numbers_leave_the_files_of_other_splits_alone():
    samples = files_of({"train": list("abcdefgh"), "test": list("xyz")})
    result = split(samples, {"train": 6, "val": 2, "test": {"pattern": "test*"}})
    assert states(result.samples["train"]) | states(result.samples["val"]) == set("abcdefgh")
    assert states(result.samples["test"]) == set("xyz")
    assert result.dropped["test"] == 0


def test_further_test_sets_may_share_states_with_test():
    spec = {name: {"pattern": "*", "count": n} for name, n in (("train", 4), ("val", 2), ("test", 4))}
    spec["again"] = {"pattern": "*"}
    result = split(single(10), spec)
    assert states(result.samples["again"]) == states(result.samples["test"])
    assert result.dropped["again"] == 6


REST = {"train": 0.8, "val": 0.1, "test": 0.1}


@given(
    st.lists(st.integers(0, 60), min_size=20, max_size=40),
    st.integers(1, 3),
    st.sampled_from(
        [
            {**REST, "far": {"largest": "rms", "count": 4}},
            {**REST, "far": {"largest": "rms", "fraction": 0.2}},
            {
                **REST,
                "far": {"largest": "rms", "where": {"Nu": 0.01}, "count": 3},
                "other": {"where": {"Nu": 0.02}},
            },
            {"train": 6, "val": 1, "test": 2, "far": {"largest": "rms", "pattern": "f0*", "count": 2}},
        ]
    ),
    st.integers(0, 3),
)
def test_the_extreme_states_are_the_largest_and_in_no_other_split(
    values: list[int], count: int, spec: dict, seed: int
) -> None:
    value = {f"s{i}": float(v) for i, v in enumerate(values)}
    samples = ranked(value, count)
    try:
        result = split(samples, spec, seed)
    except InvalidSpec:
        return  # so many are as large as the least of the largest that too few are left
    assert list(result.samples) == [*REST, *sorted(set(spec) - set(REST))]
    far = states(result.samples["far"])
    others = states(s for name, each in result.samples.items() if name != "far" for s in each)
    wanted = spec["far"].get("count") or round(0.2 * len(value))
    assert sorted((value[s] for s in far), reverse=True) == sorted(value.values(), reverse=True)[:wanted]
    assert max(value[s] for s in others) < min(value[s] for s in far)
    assert split(samples[::-1], spec, seed).to_json() == result.to_json()


def test_all_samples_of_an_extreme_state_go_with_it_or_nowhere():
    samples = ranked({f"s{i}": float(i) for i in range(12)}, count=2)
    result = split(samples, {**REST, "far": {"largest": "rms", "count": 2}})
    assert [(s.source, s.state) for s in result.samples["far"]] == [
        ("f0.hdf5", "s10"), ("f0.hdf5", "s11"), ("f1.hdf5", "s10"), ("f1.hdf5", "s11"),
    ]  # fmt: skip
    # What a rule admits and another set has is dropped, and counted.
    spec = {
        "train": {"pattern": "*", "count": 6},
        "val": {"pattern": "*", "count": 1},
        "test": {"pattern": "*"},
    }
    result = split(samples, {**spec, "far": {"largest": "rms", "count": 2}})
    assert len(states(result.samples["test"])) == 3
    assert result.dropped == {"train": 0, "val": 0, "test": 7 + 2, "far": 0}
    # States that match another file only, but are as far out, are learned from no more.
    mixed = samples[:12] + files_of({"g": ["huge"]})[:1]
    mixed[-1] = mixed[-1]._replace(statistics={"rms": 99.0})
    result = split(mixed, {**REST, "far": {"largest": "rms", "pattern": "f0*", "count": 2}})
    assert states(result.samples["far"]) == {"s10", "s11"}
    assert "huge" not in states(s for each in result.samples.values() for s in each)


def test_two_extreme_sets_may_share_states_with_each_other_alone():
    samples = [
        sample._replace(statistics={"rms": float(i), "gradient": float(i % 7)})
        for i, sample in enumerate(single(14))
    ]
    spec = {**REST, "steep": {"largest": "gradient", "count": 2}, "strong": {"largest": "rms", "count": 3}}
    result = split(samples, spec)
    assert states(result.samples["steep"]) == {"s6", "s13"}
    assert states(result.samples["strong"]) == {"s11", "s12", "s13"}
    others = states(s for name in REST for s in result.samples[name])
    assert others == {f"s{i}" for i in range(11)} - {"s6"}


@pytest.mark.parametrize(
    ("values", "far", "said"),
    [
        (range(10), {"count": 11}, ["split far asks", "10 initial states", "at least 11"]),
        (range(10), {"pattern": "x*", "count": 1}, ["split far asks", "0 initial states", "pattern x*"]),
        ([1] * 10, {"count": 3}, ["split train asks", "0 initial states (10 match, 10 of them are in other"]),
    ],
)
def test_asking_for_extremes_that_there_are_not(values, far, said):
    samples = ranked({f"s{i}": float(v) for i, v in enumerate(values)})
    with pytest.raises(InvalidSpec) as caught:
        split(samples, {**REST, "far": {"largest": "rms", **far}})
    for words in said:
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (
            {"train": 8, "val": 2, "test": 3},
            ["split test asks", "0 initial states (10 match, 10", "at least 3"],
        ),
        ({"train": 11, "val": 1, "test": 1}, ["spec.splits.train", "10 initial states", "at least 11"]),
        ({"train": 0.9, "val": 0.01, "test": 0.09}, ["split val", "at least 1"]),
        (
            {"train": {"pattern": "b*"}, "val": 1, "test": 1},
            ["split train", "0 initial states", "pattern b*"],
        ),
        ({"train": 1, "val": 1, "test": {"where": {"Nu": [1, 2]}}}, ["split test", "Nu in [1.0, 2.0]"]),
    ],
)
def test_asking_for_more_than_there_is(spec, said):
    with pytest.raises(InvalidSpec) as caught:
        split(single(10), spec)
    for words in said:
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"where": {"nu": 0.01}}, ["spec.splits.test.where", "one of Nu", "write Nu for nu"]),
        ({"where": {"viscosity": 0.01}}, ["one of Nu", "remove viscosity"]),
        ({"count": 3, "fraction": 0.1}, ["spec.splits.test", "count 3, fraction 0.1"]),
    ],
)
def test_rules_that_mean_nothing(rule, said):
    with pytest.raises(InvalidSpec) as caught:
        check_where({"train": 0.8, "test": rule}, family("burgers1d"))
    for words in said:
        assert words in str(caught.value)


def test_rules_that_mean_something():
    check_where(
        {"train": 4, "test": {"where": {"Nu": [0.1]}, "count": 3, "fraction": None}}, family("burgers1d")
    )
