"""A step leaves word of SIGTERM where the kubelet looks, and nowhere else."""

from __future__ import annotations

import os
import signal

import pytest

from ups_core.errors import Preempted
from ups_core.steps import __main__ as step
from ups_core.steps import stopping


@pytest.fixture
def last_words(tmp_path, monkeypatch):
    path = tmp_path / "termination-log"
    monkeypatch.setattr(stopping, "TERMINATION_LOG", path)
    return path


def test_the_word_is_left_before_the_step_ends(last_words):
    last_words.touch()
    before = signal.signal(signal.SIGTERM, step.on_sigterm)
    try:
        with pytest.raises(Preempted, match=stopping.ASKED_TO_STOP):
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert last_words.read_text() == stopping.ASKED_TO_STOP


def test_a_training_step_leaves_it_too_and_goes_on_to_save(last_words):
    from ups_core.steps.train import on_sigterm

    last_words.touch()
    with on_sigterm() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop()
    assert last_words.read_text() == stopping.ASKED_TO_STOP


def test_outside_of_a_container_there_is_no_such_file(last_words):
    stopping.heard()
    assert not last_words.exists()
