"""The thread that brings something back, with something that fails on command."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from flowbuilder.errors import EmbeddedServerError
from flowbuilder.executor import supervision
from flowbuilder.executor.supervision import Supervisor
from tests.support.waiting import eventually


class Patient:
    """Dead or alive; `cures` says for each revival whether it works."""

    def __init__(self, *cures: bool) -> None:
        self.dead = False
        self.cures = list(cures)
        self.tries = 0

    def revive(self) -> None:
        self.tries += 1
        if self.cures and not self.cures.pop(0):
            raise EmbeddedServerError("not today", code="embedded_server_failed")
        self.dead = False


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_LOOK_SECONDS", "_FIRST_PAUSE", "_LONGEST_PAUSE"):
        monkeypatch.setattr(supervision, name, 0.001)


def watched(patient: Patient, gone: Callable[[], bool] | None = None) -> Supervisor:
    return Supervisor("the patient", gone=gone or (lambda: patient.dead), revive=patient.revive)


def has_revived(supervisor: Supervisor, times: int) -> bool:
    return supervisor.revivals == times


async def test_what_is_gone_is_brought_back_each_time() -> None:
    patient = Patient()
    supervisor = watched(patient)
    for times in (1, 2, 3):
        patient.dead = True
        await eventually(partial(has_revived, supervisor, times))
    assert (patient.dead, supervisor.trouble, patient.tries) == (False, None, 3)
    assert supervisor.close(timeout=30)


async def test_it_tries_again_until_it_works() -> None:
    patient = Patient(False, False, False, True)
    supervisor = watched(patient)
    patient.dead = True
    await eventually(lambda: supervisor.revivals == 1)
    await eventually(lambda: supervisor.trouble is None)
    assert patient.tries == 4
    assert supervisor.close(timeout=30)


async def test_trouble_is_over_when_somebody_else_brings_it_back() -> None:
    patient = Patient(*[False] * 100_000)
    supervisor = watched(patient)
    patient.dead = True
    await eventually(lambda: supervisor.trouble == "not today")
    patient.dead = False
    await eventually(lambda: supervisor.trouble is None)
    assert supervisor.revivals == 0
    assert supervisor.close(timeout=30)


async def test_a_look_that_fails_ends_nothing() -> None:
    answers: list[bool | OSError] = [OSError("no such folder"), True, False]

    def gone() -> bool:
        answer = answers.pop(0) if answers else False
        if isinstance(answer, OSError):
            raise answer
        return answer

    supervisor = watched(Patient(), gone)
    await eventually(lambda: supervisor.revivals == 1)
    assert supervisor.close(timeout=30)


async def test_closing_ends_a_revival_under_way() -> None:
    supervisors: list[Supervisor] = []

    def revive() -> None:
        while not supervisors:
            pass
        supervisors[0].stopping.wait(30)

    supervisor = Supervisor("it", gone=lambda: True, revive=revive)
    supervisors.append(supervisor)
    assert supervisor.close(timeout=30)
    assert supervisor.revivals == 0
