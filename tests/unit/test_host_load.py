"""What the files of a host tell about its load, and when a worker is held for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowbuilder.executor.host_load import Held, Holding, HostMeter, Load


class Host:
    """Files as Linux has them, in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.now = 100.0
        self.busy = self.idle = 0
        self.write("proc/self/cgroup", "0::/\n")
        self.work(0, 1)

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def work(self, busy: int, idle: int) -> None:
        """Let ticks pass on the processors."""
        self.busy += busy
        self.idle += idle
        self.write("proc/stat", f"cpu  {self.busy} 0 0 {self.idle} 0 0 0 0 0 0\ncpu0 1 1\n")

    def meter(self) -> HostMeter:
        return HostMeter(root=self.root, clock=lambda: self.now)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_where_there_are_no_files_nothing_is_busy(tmp_path: Path) -> None:
    assert HostMeter(root=tmp_path).look() == Load(cpu=0.0, memory=0.0)


def test_this_machine_can_be_read() -> None:
    load = HostMeter().look()
    assert 0 <= load.cpu <= 1
    assert 0 <= load.memory <= 1


def test_the_processors_of_the_host_are_smoothed(host: Host) -> None:
    meter = host.meter()
    host.work(0, 100)
    assert meter.look().cpu == 0
    for expected in (0.4, 0.64, 0.784):
        host.work(100, 0)
        assert meter.look().cpu == pytest.approx(expected)


def test_waiting_for_a_disk_is_idle_and_a_clock_that_stands_too(host: Host) -> None:
    meter = host.meter()
    host.write("proc/stat", "cpu  0 0 0 1 99 0 0 0 0 0\n")
    assert meter.look().cpu == 0
    assert meter.look().cpu == 0


def test_memory_of_the_host_is_what_is_not_available(host: Host) -> None:
    host.write("proc/meminfo", "MemTotal: 1000 kB\nMemFree: 10 kB\nMemAvailable: 250 kB\n")
    assert host.meter().look().memory == pytest.approx(0.75)


def test_a_container_of_version_two_counts_by_its_own_bounds(host: Host) -> None:
    host.write("proc/meminfo", "MemTotal: 1000 kB\nMemAvailable: 900 kB\n")
    group = "sys/fs/cgroup/pods/one"
    host.write("proc/self/cgroup", "0::/pods/one\n")
    host.write(f"{group}/cpu.max", "50000 100000\n")
    host.write(f"{group}/cpu.stat", "usage_usec 1000000\nuser_usec 1\n")
    host.write(f"{group}/memory.max", "1000\n")
    host.write(f"{group}/memory.current", "900\n")
    host.write(f"{group}/memory.stat", "anon 1\ninactive_file 100\n")
    meter = host.meter()
    host.now += 2
    host.write(f"{group}/cpu.stat", "usage_usec 1500000\n")  # a half of a half, for two seconds
    load = meter.look()
    assert load.cpu == pytest.approx(0.5)
    assert load.memory == pytest.approx(0.8)


def test_a_container_of_version_one_too(host: Host) -> None:
    host.write("proc/self/cgroup", "4:memory:/box\n3:cpu,cpuacct:/box\n")
    host.write("sys/fs/cgroup/memory/box/memory.limit_in_bytes", "200\n")
    host.write("sys/fs/cgroup/memory/box/memory.usage_in_bytes", "50\n")
    host.write("sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us", "100000\n")
    host.write("sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us", "100000\n")
    host.write("sys/fs/cgroup/cpu,cpuacct/box/cpuacct.usage", "0\n")
    meter = host.meter()
    host.now += 1
    host.write("sys/fs/cgroup/cpu,cpuacct/box/cpuacct.usage", str(750_000_000))
    load = meter.look()
    assert load.cpu == pytest.approx(0.75)
    assert load.memory == pytest.approx(0.25)


@pytest.mark.parametrize("text", ["max", "max 100000", "", "garbage", "0 0", "9223372036854771712"])
def test_no_bound_is_no_share(host: Host, text: str) -> None:
    host.write("sys/fs/cgroup/memory.max", text)
    host.write("sys/fs/cgroup/memory.current", "500")
    host.write("sys/fs/cgroup/cpu.max", text)
    host.write("sys/fs/cgroup/cpu.stat", "usage_usec 10\n")
    host.now += 1
    assert host.meter().look() == Load(cpu=0.0, memory=0.0)


def test_a_worker_is_held_above_and_released_below() -> None:
    holding = Holding(cpu=0.8, memory=0.9)

    def judge(cpu: float, memory: float = 0.0) -> str | None:
        held = holding.judge(Load(cpu=cpu, memory=memory))
        return None if held is None else held.cause

    assert [judge(cpu) for cpu in (0.79, 0.8, 0.81, 0.79, 0.73, 0.71, 0.79)] == [
        None, None, "cpu", "cpu", "cpu", None, None]  # fmt: skip
    assert judge(0.9, 0.95) == "memory"
    assert judge(0.9, 0.80) == "cpu"
    assert holding.held == Held(cause="cpu", figure=0.9, threshold=0.8)
    assert judge(0.1, 0.89) is None


def test_without_a_threshold_nothing_is_wanted() -> None:
    assert not Holding(cpu=None, memory=None).wanted
    assert Holding(cpu=None, memory=0.5).judge(Load(cpu=1.0, memory=0.4)) is None
