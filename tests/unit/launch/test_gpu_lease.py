from __future__ import annotations

import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from llem.errors import NotReadyError
from llem.launch.gpu_lease import LeaseGivenUp, leased

A, B = "GPU-aaaa", "GPU-bbbb"
NOBODY = 65534

# Leases the GPU named, writes that it has it, and then that it has not any more; or holds it until it is killed.
HOLD_BRIEFLY = """
import sys, time
from pathlib import Path
from llem.launch.gpu_lease import leased
def wait(seconds):
    time.sleep(seconds / 50)
    return False
for _ in range(5):
    with leased([sys.argv[1]], wait, lambda line: None, Path(sys.argv[2])), open(sys.argv[3], "a", buffering=1) as log:
        log.write("begin\\n")
        time.sleep(0.005)
        log.write("end\\n")
"""
HOLD_FOR_EVER = """
import sys, time
from pathlib import Path
from llem.launch.gpu_lease import leased
with leased([sys.argv[1]], lambda seconds: False, print, Path(sys.argv[2])):
    print("held", flush=True)
    time.sleep(600)
"""


def refuse_to_wait(seconds: float) -> bool:
    raise AssertionError("nothing was to be waited for")


def stop(seconds: float) -> bool:
    return True


def free(uuid: str, folder: Path) -> bool:
    """Whether a GPU can be leased at once."""
    try:
        with leased([uuid], stop, lambda line: None, folder):
            return True
    except LeaseGivenUp:
        return False


@contextmanager
def holding(uuid: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has a GPU."""
    command = [sys.executable, "-c", HOLD_FOR_EVER, uuid, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            yield holder
        finally:
            holder.kill()


@pytest.fixture
def everybodys_place() -> Iterator[Path]:
    """A folder like /tmp, where other users get to, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="llem-lease-test-"))
    folder.chmod(0o1777)
    yield folder
    shutil.rmtree(folder)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Act as a user without rights."""
    if os.geteuid() != 0:
        assert os.environ.get("CI") != "true", "CI must be able to act as another user"
        pytest.skip("acting as another user needs root")
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_claim_6_5_two_processes_never_have_one_gpu_at_a_time(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-c", HOLD_BRIEFLY, A, str(tmp_path / "locks"), str(log)]
    processes = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert log.read_text().splitlines() == ["begin", "end"] * 15


def test_claim_6_5_a_gpu_in_use_is_waited_for_with_one_notice_until_its_holder_ends_however(tmp_path: Path) -> None:
    notices: list[str] = []
    waits: list[float] = []
    with holding(A, tmp_path / "l") as holder:

        def wait(seconds: float) -> bool:
            waits.append(seconds)
            if len(waits) == 3:
                holder.send_signal(signal.SIGKILL)
                holder.wait()
            return False

        with leased([A, B], wait, notices.append, tmp_path / "l"):
            assert not free(A, tmp_path / "l")
            assert not free(B, tmp_path / "l")
    assert waits == [0.5, 0.5, 0.5]
    assert notices == [f"GPU {A} is in use by another llem run; waiting for it."]


def test_claim_6_5_different_gpus_are_leased_side_by_side_and_free_again_afterwards(tmp_path: Path) -> None:
    with leased([A], refuse_to_wait, print, tmp_path / "l"), leased([B], refuse_to_wait, print, tmp_path / "l"):
        assert not free(A, tmp_path / "l")
    assert free(A, tmp_path / "l")
    assert free(B, tmp_path / "l")


def test_claim_6_5_who_is_asked_to_stop_while_waiting_gives_up_and_holds_nothing(tmp_path: Path) -> None:
    with leased([B], refuse_to_wait, print, tmp_path / "l"):
        with pytest.raises(LeaseGivenUp), leased([A, B], stop, lambda line: None, tmp_path / "l"):
            raise AssertionError("leased though in use")
        assert free(A, tmp_path / "l")


def test_claim_6_5_gpus_are_taken_in_one_order_so_that_two_never_wait_for_each_other(tmp_path: Path) -> None:
    def wait(seconds: float) -> bool:
        # Who waits for the first holds none of the later ones.
        assert free(B, tmp_path / "l")
        return True

    with leased([A], refuse_to_wait, print, tmp_path / "l"):
        for order in ([A, B], [B, A]):
            with pytest.raises(LeaseGivenUp), leased(order, wait, lambda line: None, tmp_path / "l"):
                raise AssertionError("leased though in use")


def test_claim_6_5_a_gpu_named_twice_is_leased_once(tmp_path: Path) -> None:
    with leased([A, A], refuse_to_wait, print, tmp_path / "l"):
        assert not free(A, tmp_path / "l")


def test_claim_6_5_a_run_without_gpus_makes_no_folder(tmp_path: Path) -> None:
    with leased([], refuse_to_wait, print, tmp_path / "l"):
        assert list(tmp_path.iterdir()) == []


def test_claim_6_5_folder_and_files_are_everybodys_whatever_the_umask(tmp_path: Path) -> None:
    umask = os.umask(0o077)
    try:
        with leased([A], refuse_to_wait, print, tmp_path / "l"):
            pass
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "l").stat().st_mode) == 0o1777
    [lock] = (tmp_path / "l").iterdir()
    assert (lock.name, stat.S_IMODE(lock.stat().st_mode)) == (f"{A}.lock", 0o666)


def test_claim_6_5_a_name_that_no_gpu_has_cannot_leave_the_folder(tmp_path: Path) -> None:
    with leased(["../GPU/x"], refuse_to_wait, print, tmp_path / "l"):
        assert [path.name for path in (tmp_path / "l").iterdir()] == ["___GPU_x.lock"]


def test_claim_6_5_several_users_share_the_gpus(everybodys_place: Path) -> None:
    locks = everybodys_place / "l"
    with as_nobody(), leased([A], refuse_to_wait, print, locks):
        pass
    with leased([A, B], refuse_to_wait, print, locks), as_nobody():
        assert not free(A, locks)
        assert not free(B, locks)
    with as_nobody():
        assert free(A, locks)
        assert free(B, locks)


def test_claim_6_5_a_folder_that_another_user_is_just_making_is_waited_for(everybodys_place: Path) -> None:
    locks = everybodys_place / "l"
    locks.mkdir(0o700)

    def wait(seconds: float) -> bool:
        os.seteuid(0)
        locks.chmod(0o1777)
        os.seteuid(NOBODY)
        return False

    with as_nobody(), leased([A], wait, print, locks):
        pass


def test_claim_6_5_a_folder_that_only_another_user_may_write_to_is_refused_with_what_to_do(
    everybodys_place: Path,
) -> None:
    locks = everybodys_place / "l"
    for mode in (0o700, 0o755, 0o777):
        locks.mkdir(exist_ok=True)
        locks.chmod(mode)
        with (
            as_nobody(),
            pytest.raises(NotReadyError, match=rf"rm -rf {locks}"),
            leased([A], lambda seconds: False, print, locks),
        ):
            raise AssertionError("leased in a folder of others")


def link_to_a_folder(path: Path) -> None:
    (path.parent / "elsewhere").mkdir()
    path.symlink_to(path.parent / "elsewhere")


@pytest.mark.parametrize(
    "make",
    [link_to_a_folder, lambda path: path.symlink_to("nowhere"), Path.touch],
    ids=["link", "dangling link", "file"],
)
def test_claim_6_5_a_folder_that_is_none_is_refused_and_no_link_followed(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "l")
    with pytest.raises(NotReadyError, match="a link, or no folder"), leased([A], refuse_to_wait, print, tmp_path / "l"):
        raise AssertionError("leased in no folder")
    assert not list(tmp_path.glob("elsewhere/*"))
    assert not (tmp_path / "nowhere").exists()


def test_claim_6_5_a_place_where_no_folder_can_be_made_is_said(tmp_path: Path) -> None:
    with (
        pytest.raises(NotReadyError, match="cannot be made"),
        leased([A], refuse_to_wait, print, tmp_path / "no" / "l"),
    ):
        raise AssertionError("leased in no folder")


@pytest.mark.parametrize(
    "make",
    [lambda path: path.symlink_to(path.parent.parent / "target"), os.mkfifo, Path.mkdir],
    ids=["link", "pipe", "folder"],
)
def test_claim_6_5_a_lock_that_is_no_regular_file_is_refused_and_no_link_followed(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    (tmp_path / "target").write_text("mine")
    (tmp_path / "l").mkdir()
    make(tmp_path / "l" / f"{A}.lock")
    with (
        pytest.raises(NotReadyError, match=rf"{A}.lock cannot be locked"),
        leased([A], refuse_to_wait, print, tmp_path / "l"),
    ):
        raise AssertionError("leased by no file")
    assert (tmp_path / "target").read_text() == "mine"
    assert free(B, tmp_path / "l")


def test_claim_6_5_a_lock_file_that_is_removed_before_it_is_locked_leases_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = fcntl.flock
    removed: list[Path] = []

    def remove_first(fd: int, operation: int) -> None:
        path = tmp_path / "l" / f"{A}.lock"
        if operation & fcntl.LOCK_EX and not removed:
            path.unlink()
            removed.append(path)
        flock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    with leased([A], lambda seconds: False, lambda line: None, tmp_path / "l"):
        assert removed
        assert not free(A, tmp_path / "l")


def test_claim_6_5_a_cleaner_of_old_files_sees_that_the_folder_is_in_use(tmp_path: Path) -> None:
    with leased([A], refuse_to_wait, print, tmp_path / "l"):
        fd = os.open(tmp_path / "l", os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(fd)


def test_claim_6_5_of_several_gpus_the_first_that_is_free_is_taken_and_none_is_waited_for(tmp_path: Path) -> None:
    with (
        leased([A], refuse_to_wait, print, tmp_path / "l"),
        leased([], refuse_to_wait, print, tmp_path / "l", some=[A, B], count=1) as chosen,
    ):
        assert chosen == (B,)
        assert not free(B, tmp_path / "l")
    assert free(B, tmp_path / "l")


def test_claim_6_5_who_waits_for_any_of_several_holds_none_and_hears_once_which_are_in_use(tmp_path: Path) -> None:
    notices: list[str] = []
    waits: list[float] = []
    with holding(A, tmp_path / "l") as holder:

        def wait(seconds: float) -> bool:
            assert free(B, tmp_path / "l")
            waits.append(seconds)
            if len(waits) == 2:
                holder.kill()
                holder.wait()
            return False

        with leased([B], wait, notices.append, tmp_path / "l", some=[A], count=1) as chosen:
            assert chosen == (A,)
    assert notices == [f"GPU {A} is in use by another llem run; waiting for it."]


def test_claim_6_5_a_gpu_that_is_used_without_a_lease_is_waited_for_and_not_held_meanwhile(tmp_path: Path) -> None:
    notices: list[str] = []
    waits: list[float] = []
    users: dict[str, str] = {A: "container x", B: "container y"}

    def wait(seconds: float) -> bool:
        assert free(A, tmp_path / "l")
        waits.append(seconds)
        if len(waits) == 2:
            del users[B]
        return False

    with leased([], wait, notices.append, tmp_path / "l", some=[A, B], count=1, user=users.get) as chosen:
        assert chosen == (B,)
    # A container engine is behind it, on a machine where somebody measures: it is asked rarely.
    assert waits == [2.0, 2.0]
    assert notices == [f"GPU {A} is in use by container x; GPU {B} is in use by container y; waiting for 1 of them."]
