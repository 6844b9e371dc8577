"""The number of threads follows the duration of steps, on simulated machines with their own clock."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from agent.llama.thread_tuner import ThreadTuner


@dataclass
class Machine:
    """A machine whose steps take 30 ms with one thread; `busy` of its processors are in use."""

    processors: int
    busy: int = 0
    now: float = 0.0

    def clock(self) -> float:
        return self.now

    def seconds(self, threads: int) -> float:
        alone = 0.03 / threads**0.8
        return alone if threads <= max(1, self.processors - self.busy) else 1.0

    def run(self, tuner: ThreadTuner, seconds: float) -> list[int]:
        """Generate for this long; return the number of threads of each step."""
        used = []
        end = self.now + seconds
        while self.now < end:
            used.append(tuner.count)
            took = self.seconds(tuner.count)
            self.now += took
            tuner.record(took)
        return used


@pytest.mark.parametrize("processors", [2, 3, 8, 12])
def test_an_idle_machine_uses_all_threads(processors: int) -> None:
    machine = Machine(processors)
    used = machine.run(ThreadTuner(processors, clock=machine.clock), 60)
    assert used[-1] == processors
    assert sum(count < processors for count in used) <= 2


@pytest.mark.parametrize(("processors", "busy", "left"), [(2, 2, 1), (8, 5, 2), (8, 7, 1)])
def test_threads_are_reduced_while_the_machine_is_busy_and_restored_later(
    processors: int, busy: int, left: int
) -> None:
    machine = Machine(processors)
    tuner = ThreadTuner(processors, clock=machine.clock)
    machine.run(tuner, 30)
    machine.busy = busy
    used = machine.run(tuner, 120)
    assert used[-1] == left
    steps = len(used)
    assert steps > 0.8 * 120 / machine.seconds(left)
    machine.busy = 0
    machine.run(tuner, 130)
    assert tuner.count == processors


def test_a_start_on_a_busy_machine_costs_a_few_steps() -> None:
    machine = Machine(2, busy=2)
    used = machine.run(ThreadTuner(2, clock=machine.clock), 10)
    assert used[-1] == 1
    assert len(used) > 0.5 * 10 / 0.03


def test_steps_that_slow_down_with_the_context_keep_their_threads() -> None:
    machine = Machine(2)
    tuner = ThreadTuner(2, clock=machine.clock)
    used = []
    for step in range(2000):
        used.append(tuner.count)
        took = machine.seconds(tuner.count) * (1 + step / 500)
        machine.now += took
        tuner.record(took)
    assert used.count(1) < 0.05 * len(used)


def test_one_thread_is_not_tuned() -> None:
    tuner = ThreadTuner(1)
    for seconds in (0.1, 5.0, 0.1, 9.0):
        tuner.record(seconds)
    assert tuner.count == 1


def test_a_small_model_may_start_with_one_thread() -> None:
    machine = Machine(4)
    tuner = ThreadTuner(4, start=1, clock=machine.clock)
    assert tuner.count == 1
    machine.run(tuner, 30)
    assert tuner.count == 4
