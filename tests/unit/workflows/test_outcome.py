"""Which ends of an attempt are followed by another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ups_core.api.common import Retry
from ups_core.errors import EXIT_TRANSIENT
from ups_workflows.outcome import FINAL, Counts, Failure, after, failure_of


def failed(code: int) -> Failure:
    return Failure("train-operator", code, "InternalError", "")


@pytest.mark.parametrize("code", sorted(FINAL))
def test_what_another_try_cannot_mend_ends_the_run(code):
    assert after(failed(code), Counts(), Retry()) == (Counts(1, 0), "failed")


@pytest.mark.parametrize("code", [1, 9, 137, 139, 255])
def test_a_bug_is_tried_again_once(code):
    counts, decision = after(failed(code), Counts(), Retry())
    assert decision == "again"
    assert after(failed(code), counts, Retry()) == (Counts(2, 0), "failed")


@given(st.lists(st.sampled_from([1, EXIT_TRANSIENT, 137]), max_size=60), st.integers(0, 3), st.integers(0, 5))
def test_the_two_budgets_are_apart(codes, failures, preemptions):
    retry = Retry.model_validate({"maxFailures": failures, "maxPreemptions": preemptions})
    counts, decision = Counts(), "again"
    for code in codes:
        counts, decision = after(failed(code), counts, retry)
        if decision == "failed":
            break
    told = codes[: counts.failures + counts.preemptions]
    assert counts.preemptions == told.count(EXIT_TRANSIENT)
    assert (decision == "failed") == (counts.failures > failures or counts.preemptions > preemptions)


def test_a_step_that_left_a_result_is_told_by_it():
    error = {"reason": "DataInvalid", "message": "frame holds NaN", "where": "a.h5", "exitCode": 3}
    failure = failure_of("validate", 3, {"error": error})
    assert failure.to_dict() == {
        "reason": "DataInvalid",
        "stage": "validate",
        "exitCode": 3,
        "message": "frame holds NaN; where: a.h5",
    }


def test_a_step_that_left_none_is_told_by_its_exit_code():
    assert failure_of("convert", 137, None).message == "ended with exit code 137"
