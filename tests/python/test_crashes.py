"""Killed, interrupted, out of room, read-only, damaged: a run goes on to the same bits, or the program says what is wrong."""

import contextlib
import os
import pathlib
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time

import program
import pytest

KILLS = int(os.environ.get("PATHKERNEL_KILLS", 20))  # `make crash`: 100


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return program.write_data(tmp_path_factory.mktemp("data") / "data", examples=1000, inputs=(64,), classes=10)


def train_command(data, out, epochs=60):
    return ["train", "--data", data, "--model", "mlp:64-16-10", "--batch", 16, "--epochs", epochs, "--optimizer", "adamw", "--schedule", "cosine",
            "--threads", 1, "--out", out]  # fmt: skip


@pytest.fixture(scope="module")
def reference(data, tmp_path_factory):
    """An uninterrupted run, and how long it takes."""
    out = tmp_path_factory.mktemp("reference") / "run"
    program.run(*train_command(data, out))  # the first start of the program is slower than the others
    shutil.rmtree(out)
    begin = time.monotonic()
    program.run(*train_command(data, out))
    return out, time.monotonic() - begin


def recorded(folder):
    """All that a recording holds: the tables, and the files byte for byte."""
    with contextlib.closing(sqlite3.connect(folder / "recording.sqlite")) as database:
        tables = {name: database.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall() for name in ("manifest", "steps", "planned", "checkpoints")}
    return tables, {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.suffix == ".safetensors"}


def same(folder, reference):
    assert sorted(p.relative_to(folder) for p in folder.rglob("*")) == sorted(p.relative_to(reference) for p in reference.rglob("*"))
    tables, files = recorded(folder)
    expected_tables, expected_files = recorded(reference)
    for name, rows in expected_tables.items():
        assert tables[name] == rows, name
    assert files == expected_files


def start(*arguments, **options):
    return subprocess.Popen([program.path(), *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def run_for(seconds, *arguments):
    """True when the program finished by itself within this time; else it was killed."""
    process = start(*arguments)
    try:
        _, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return False
    assert process.returncode == 0, errors
    return True


def test_train_and_resume_killed_at_random_moments(data, reference, tmp_path):
    whole, seconds = reference
    moments = random.Random(5)
    kills, runs, of_train, of_resume, unborn = 0, 0, 0, 0, 0
    while kills < KILLS:
        out = tmp_path / f"run{runs}"
        runs += 1
        finished = False
        while not finished:
            begun = (out / "recording.sqlite").exists()
            command = ["resume", out] if begun else train_command(data, out)
            finished = run_for(moments.uniform(0, seconds) if kills < KILLS else 300, *command)
            kills += not finished
            of_train += not finished and not begun
            of_resume += not finished and begun
            unborn += not finished and not (out / "recording.sqlite").exists()
        same(out, whole)
        shutil.rmtree(out)
    print(f"\n{kills} kills ({of_train} of train, {unborn} of these before there was a recording, {of_resume} of resume) in {runs} runs: "
          "all end in the same bits and the same log")  # fmt: skip


def wait_for_checkpoints(out, count):
    deadline = time.monotonic() + 60
    while len(list(out.glob("checkpoints/*.safetensors"))) < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def kill_in_the_middle(data, out, **options):
    process = start(*train_command(data, out), **options)
    wait_for_checkpoints(out, 5)
    process.kill()
    process.communicate()


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_after_the_step(which, data, reference, tmp_path):
    out = tmp_path / "run"
    process = start(*train_command(data, out))
    wait_for_checkpoints(out, 5)
    process.send_signal(which)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 6 and stdout == ""
    info = program.run_json("info", out)
    assert stderr == f"pathkernel: interrupted at step {info['steps']} of 3780; go on with: pathkernel resume {out}\n"
    assert info["status"] == "running" and info["steps"] > 0
    assert not list(out.glob("recording.sqlite-*"))
    result = program.run_json("resume", out)
    assert result["first_step"] == info["steps"] and result["steps"] == 3780 and "test_accuracy" in result
    same(out, reference[0])


def test_resume_of_a_complete_run_says_so(data, reference):
    whole = reference[0]
    before = recorded(whole)
    assert "is complete already: 3780 steps" in program.run("resume", whole).stdout
    assert program.run_json("resume", whole) == {"recording": str(whole), "steps": 3780, "first_step": 3780}
    assert recorded(whole) == before


def test_resume_of_a_diverged_run_is_refused(data, tmp_path):
    program.run(*train_command(data, tmp_path / "run"), "--lr", 1e36, code=5)
    steps = program.run_json("info", tmp_path / "run")["steps"]
    assert f"diverged at step {steps} of 3780" in program.run("resume", tmp_path / "run", code=3).stderr


def test_resume_in_another_environment_that_gives_other_bits(data, tmp_path):
    out = tmp_path / "run"
    kill_in_the_middle(data, out)
    last = program.run_json("info", out)["steps"] - 1
    program.change_step(out, last, lr=0.5)
    done = program.run("resume", out, code=4)
    assert f"step {last} of 3780" in done.stderr and "other weights than were recorded" in done.stderr


def test_two_processes_on_one_recording(data, reference, tmp_path):
    out = tmp_path / "run"
    with stopped_in_the_middle(data, out) as process:
        for command in (["resume", out], train_command(data, out)):
            done = program.run(*command, code=3)
            assert str(out) in done.stderr, done.stderr
        assert "another process is recording here" in program.run("resume", out, code=3).stderr
        assert program.run_json("info", out)["status"] == "running"  # a reader may look on
        process.kill()
    program.run("resume", out)
    same(out, reference[0])


@contextlib.contextmanager
def stopped_in_the_middle(data, out):
    """A training process that is alive, and waits."""
    process = start(*train_command(data, out))
    try:
        wait_for_checkpoints(out, 5)
        process.send_signal(signal.SIGSTOP)
        yield process
    finally:
        process.kill()
        process.communicate()


def limited(size):
    return {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))}


def test_a_file_that_may_not_grow_any_more(data, reference, tmp_path):
    """Stands for a full disk where no small one can be mounted. The first file to reach this size is the database's log."""
    out = tmp_path / "run"
    done = program.run(*train_command(data, out), code=3, **limited(100_000))
    assert done.stderr.startswith(f"pathkernel: {out}/recording.sqlite") and "File too large" in done.stderr, done.stderr
    assert f"go on with: pathkernel resume {out}" in done.stderr
    assert program.run_json("info", out)["status"] == "running"
    program.run("resume", out)
    same(out, reference[0])


@pytest.mark.parametrize("size, file", [(1000, "checkpoints/step-00000000.safetensors"), (10_000, "recording.sqlite.new")])
def test_no_room_for_the_beginning(size, file, data, tmp_path):
    done = program.run(*train_command(data, tmp_path / "deep/run"), code=3, **limited(size))
    assert "File too large" in done.stderr and str(tmp_path / "deep/run" / file) in done.stderr, done.stderr
    assert not (tmp_path / "deep").exists()


@contextlib.contextmanager
def small_disk(folder, size):
    folder.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True).returncode != 0:
        pytest.skip("no small disk can be mounted here (that needs root's rights); test_a_file_that_may_not_grow_any_more stands for it")
    try:
        yield lambda larger: subprocess.run(["mount", "-o", f"remount,size={larger}", folder], check=True)
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("size", [96, 400, 900])
def test_full_disk(size, data, reference, tmp_path):
    """KiB: enough for the first checkpoint, for a part of the checkpoints, for a part of the log."""
    with small_disk(tmp_path / "disk", f"{size}k") as enlarge:
        out = tmp_path / "disk/run"
        done = program.run(*train_command(data, out), code=3)
        assert str(out) in done.stderr and ("full" in done.stderr or "No space left" in done.stderr), done.stderr
        enlarge("16m")
        assert program.run_json("info", out)["status"] == "running"
        program.run("resume", out)
        same(out, reference[0])


@contextlib.contextmanager
def read_only(*folders):
    """Nobody may write there; as root, that takes another user, who may."""
    changed = [p for folder in folders for p in (folder, *folder.rglob("*"))]
    for p in changed:
        p.chmod(0o555 if p.is_dir() else 0o444)
    options = {} if os.geteuid() else {"user": 65534, "group": 65534, "extra_groups": []}
    try:
        try:
            subprocess.run([program.path(), "--version"], capture_output=True, check=True, **options)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("root may write everywhere, and another user may not run the program here")
        yield options
    finally:
        for p in changed:
            p.chmod(0o755 if p.is_dir() else 0o644)


@pytest.fixture
def open_folder():
    """A folder that every user may look into."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield pathlib.Path(folder)


def test_read_only_folder(data, reference, open_folder):
    place, whole, killed = open_folder / "place", open_folder / "whole", open_folder / "killed"
    place.mkdir()
    shutil.copytree(reference[0], whole)
    shutil.copytree(data, open_folder / "data")
    kill_in_the_middle(open_folder / "data", killed)
    with read_only(place, whole, killed) as options:
        assert program.run_json("info", whole, **options)["status"] == "complete"
        assert "is complete already" in program.run("resume", whole, **options).stdout
        assert "cannot be made (Permission denied)" in program.run(*train_command(open_folder / "data", place / "run"), code=3, **options).stderr
        assert "cannot be made (Permission denied)" in program.run("explain", whole, "--out", place / "ledger", code=3, **options).stderr
        done = program.run("resume", killed, code=3, **options)
        assert str(killed / "recording.sqlite") in done.stderr and "read" in done.stderr, done.stderr
    assert not list(place.iterdir())


CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
/* The time of day jumps by up to a year, to and fro, whenever it is asked for. */
static long jump(void) { static unsigned seed = 1; return (long)rand_r(&seed) % 31536000 - 15768000; }
int clock_gettime(clockid_t id, struct timespec* t) {
  static int (*real)(clockid_t, struct timespec*);
  if (!real) real = (int (*)(clockid_t, struct timespec*))dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(id, t);
  if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE) t->tv_sec += jump();
  return result;
}
int gettimeofday(struct timeval* t, void* zone) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  t->tv_sec = now.tv_sec;
  t->tv_usec = now.tv_nsec / 1000;
  return 0;
}
time_t time(time_t* t) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (t) *t = now.tv_sec;
  return now.tv_sec;
}
"""


@pytest.fixture(scope="module")
def stepping_clock(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clock")
    (folder / "clock.c").write_text(CLOCK)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / "clock.so", folder / "clock.c", "-ldl"], check=True)
    return {"env": {**os.environ, "LD_PRELOAD": str(folder / "clock.so")}}


def test_a_clock_that_steps_to_and_fro(stepping_clock, data, reference, tmp_path):
    out = tmp_path / "run"
    kill_in_the_middle(data, out, **stepping_clock)
    program.run("resume", out, **stepping_clock)
    same(out, reference[0])


# --- explain -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def explained(data, tmp_path_factory):
    """A recording, the command that explains it in several chunks of queries and stretches of steps, its ledger, and how long it takes."""
    folder = tmp_path_factory.mktemp("explained")
    program.run(*train_command(data, folder / "run", epochs=3))
    command = ["explain", folder / "run", "--queries", "test:0-199", "--memory", "12MiB", "--threads", 1]
    begin = time.monotonic()
    program.run(*command, "--save-every", 0, "--out", folder / "ledger")
    return command, files_of(folder / "ledger"), time.monotonic() - begin


def files_of(ledger):
    return {p.name: p.read_bytes() for p in ledger.iterdir()}


def test_explain_killed_at_random_moments(explained, tmp_path):
    command, whole, seconds = explained
    moments = random.Random(6)
    kills, ledgers, saved, without = 0, 0, 0, 0
    while kills < KILLS:
        out = tmp_path / f"ledger{ledgers}"
        ledgers += 1
        finished = False
        while not finished:
            finished = run_for(moments.uniform(0, seconds) if kills < KILLS else 300, *command, "--save-every", 0.001, "--out", out)
            kills += not finished
            saved += not finished and (tmp_path / f"{out.name}.partial/sweep.safetensors").exists()
            without += not finished and not out.exists()
            if out.exists():
                assert files_of(out) == whole
                break
        assert files_of(out) == whole
    print(f"\n{kills} kills of explain, {saved} of them after something was saved, {without} without a ledger, in {ledgers} ledgers: all the same bits")


@contextlib.contextmanager
def explaining(command, out, *arguments):
    """An explain that has saved something."""
    process = start(*command, "--out", out, "--save-every", 0.001, *arguments)
    try:
        deadline = time.monotonic() + 60
        while not (out.parent / f"{out.name}.partial/sweep.safetensors").exists():
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.005)
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def unfinished(explained, tmp_path):
    """OUT of an explain that was killed, and OUT.partial with what it saved."""
    out = tmp_path / "ledger"
    with explaining(explained[0], out):
        pass
    return out, tmp_path / "ledger.partial"


def test_explain_goes_on_with_what_was_saved(explained, unfinished):
    out, partial = unfinished
    assert not out.exists()
    assert "is no ledger" in program.run("show", partial, code=3).stderr
    done = program.run(*explained[0], "--out", out)
    assert f"going on with what was left in {partial}" in done.stderr
    assert files_of(out) == explained[1] and not partial.exists()


def test_explain_interrupted(explained, tmp_path):
    out = tmp_path / "ledger"
    with explaining(explained[0], out) as process:
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 6 and stdout == ""
    assert f"interrupted; the same command goes on from what was saved last in {out}.partial" in stderr
    program.run(*explained[0], "--out", out)
    assert files_of(out) == explained[1]


def test_explain_of_sets_goes_on_with_what_was_saved(explained, tmp_path):
    command = [*explained[0], "--aggregate", "by-class", "--measure", "loss"]
    program.run(*command, "--save-every", 0, "--out", tmp_path / "whole")
    out = tmp_path / "ledger"
    with explaining(command, out):
        pass
    assert not out.exists()
    assert "(aggregate  instead of by-class" in program.run(*explained[0], "--out", out, code=3).stderr
    assert "going on with what was left" in program.run(*command, "--out", out).stderr
    assert files_of(out) == files_of(tmp_path / "whole")


def test_explain_asked_for_otherwise_is_refused(explained, unfinished):
    out, partial = unfinished
    before = files_of(partial)
    done = program.run(*explained[0], "--measure", "margin", "--out", out, code=3)
    assert "the beginning of another ledger (measure margin instead of log-odds)" in done.stderr and str(partial) in done.stderr
    assert files_of(partial) == before and not out.exists()


def test_two_processes_on_one_ledger(explained, tmp_path):
    out = tmp_path / "ledger"
    with explaining(explained[0], out) as process:
        process.send_signal(signal.SIGSTOP)
        done = program.run(*explained[0], "--out", out, code=3)
        assert f"{out}.partial: another process is explaining here" in done.stderr
    program.run(*explained[0], "--out", out)
    assert files_of(out) == explained[1]


def test_damaged_state_is_refused(explained, unfinished):
    out, partial = unfinished
    content = bytearray((partial / "sweep.safetensors").read_bytes())
    places = random.Random(3)
    for _ in range(6):
        place, bit = places.randrange(len(content)), 1 << places.randrange(8)
        content[place] ^= bit
        (partial / "sweep.safetensors").write_bytes(content)
        done = program.run(*explained[0], "--out", out, code=3)
        assert str(partial / "sweep.safetensors") in done.stderr, done.stderr
        content[place] ^= bit
    (partial / "sweep.safetensors").write_bytes(content[: len(content) // 2])
    assert str(partial / "sweep.safetensors") in program.run(*explained[0], "--out", out, code=3).stderr
    (partial / "sweep.safetensors").write_bytes(content)
    program.run(*explained[0], "--out", out)
    assert files_of(out) == explained[1]


def test_a_folder_of_somebody_else_is_left_alone(explained, tmp_path):
    (tmp_path / "ledger.partial").mkdir()
    (tmp_path / "ledger.partial/precious").write_text("x")
    done = program.run(*explained[0], "--out", tmp_path / "ledger", code=3)
    assert f"{tmp_path}/ledger.partial holds precious" in done.stderr
    assert files_of(tmp_path / "ledger.partial") == {"precious": b"x"}


def test_explain_without_room(explained, tmp_path):
    """First for what it saves, then for the ledger itself."""
    out = tmp_path / "ledger"
    done = program.run(*explained[0], "--save-every", 0.001, "--out", out, code=3, **limited(100_000))
    assert "File too large" in done.stderr and str(tmp_path / "ledger.partial/sweep.safetensors") in done.stderr
    assert not list(tmp_path.iterdir())
    done = program.run(*explained[0], "--save-every", 0, "--out", out, code=3, **limited(100_000))
    assert "File too large" in done.stderr and "ledger.safetensors" in done.stderr
    assert not list(tmp_path.iterdir())


def test_explain_on_a_clock_that_steps(explained, stepping_clock, tmp_path):
    program.run(*explained[0], "--save-every", 0.001, "--out", tmp_path / "ledger", **stepping_clock)
    assert files_of(tmp_path / "ledger") == explained[1]
