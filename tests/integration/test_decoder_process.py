"""Whatever images do to their decoder, it is a child process that they do it to. Toy decoders in real children."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest

from streams.adapters.images.decode import decode, encode_png
from streams.adapters.images.decoder import DecoderProcess
from streams.core.deadletter import CRASH_LOOP_DEATHS
from streams.core.faces import Pixels, Undecodable
from streams.errors import DependencyUnavailable
from streams.events import IMAGE_BYTES, DeadReason

DECODERS = """
import ctypes, os, pathlib, resource, socket, struct, sys, time
from streams.adapters.images.unpack import Refusal, unpack

#: Each image that was begun, for the tests to read afterwards: opened before files are out of reach.
BEGUN = os.open(pathlib.Path(__file__).with_name("begun"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def toy(encoded):
    word = encoded.partition(b" ")[0].decode(errors="replace")
    if word in ACTS:
        return ACTS[word](encoded)
    return unpack(encoded)


def allocate(encoded):
    return bytearray(4 << 30)


def hang(encoded):
    time.sleep(3600)


def lie(encoded):
    with socket.socket(fileno=os.dup(0)) as pipe:
        pipe.sendall(struct.pack(">BII", *eval(encoded.partition(b" ")[2])) + b"x" * 64)
    hang(encoded)


def said(encoded):
    return Refusal("image-undecodable", f"{os.getpid()}")


def told(encoded):
    limits = [resource.getrlimit(getattr(resource, "RLIMIT_" + name))[1] for name in ("AS", "FSIZE", "NOFILE", "CORE")]
    return Refusal("image-undecodable", repr({"limits": limits, "environment": sorted(os.environ)}))


def write(encoded):
    try:
        with open(pathlib.Path(__file__).with_name("written"), "wb") as file:
            file.write(b"something")
    except OSError as error:
        return Refusal("image-undecodable", type(error).__name__)


def judge(encoded):
    return Refusal(encoded.partition(b" ")[2].decode(), "no decoder says so")


def modules(encoded):
    return Refusal("image-undecodable", " ".join(sys.modules))


ACTS = {
    "abort": lambda encoded: os.abort(),
    "segfault": lambda encoded: ctypes.string_at(0),
    "leave": lambda encoded: os._exit(3),
    "raise": lambda encoded: 1 / 0,
    "close": lambda encoded: (os.close(0), hang(encoded)),
    "allocate": allocate,
    "hang": hang,
    "judge": judge,
    "lie": lie,
    "pid": said,
    "told": told,
    "write": write,
    "modules": modules,
}


def pressed(encoded):
    os.abort()


def odd(encoded):
    return Refusal("image-undecodable", "the good image is refused") if len(encoded) > 10_000 else os.abort()
"""

#: What is imported by a child that ends once it has said that it is ready.
LEAVES = """
import os, socket

class Socket(socket.socket):
    def sendall(self, data):
        super().sendall(data)
        os._exit(0)

socket.socket = Socket
toy = print
"""

GOOD = encode_png(np.arange(6 * 4 * 3, dtype=np.uint8).reshape(6, 4, 3))
Make = Callable[..., DecoderProcess]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Return what makes decoders over one of the toys; they are closed at the end."""
    (tmp_path / "toy_decoders.py").write_text(DECODERS)
    (tmp_path / "toy_that_leaves.py").write_text(LEAVES)
    monkeypatch.syspath_prepend(tmp_path)
    made: list[DecoderProcess] = []

    def maker(toy: str = "toy", **seconds: float) -> DecoderProcess:
        made.append(DecoderProcess(toy if ":" in toy else f"toy_decoders:{toy}", **seconds))
        return made[-1]

    yield maker
    for each in made:
        each.close()
    assert children() == []


def children() -> list[int]:
    return [child.pid for child in psutil.Process().children() if "decoder_child" in " ".join(child.cmdline())]


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, f"not within 30 s: {what}"
        time.sleep(0.02)


def detail(decoded: Pixels | Undecodable) -> str:
    assert isinstance(decoded, Undecodable)
    return decoded.detail


def test_what_it_decodes_is_what_would_be_decoded_here():
    images = [GOOD, b"nothing", b"", GOOD[:-20], encode_png(np.full((300, 200, 3), 9, np.uint8))]
    with DecoderProcess() as decoder:
        theirs = list(decoder.decode(images))
    for one, other in zip(theirs, map(decode, images), strict=True):
        assert type(one) is type(other)
        assert np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other


def test_an_image_with_too_many_bytes_never_reaches_a_child():
    with DecoderProcess() as decoder:
        [refused] = decoder.decode([b"x" * (IMAGE_BYTES + 1)])
        assert isinstance(refused, Undecodable)
        assert refused.reason is DeadReason.IMAGE_TOO_LARGE
        assert children() == []


def test_one_child_decodes_batch_after_batch(make: Make):
    decoder = make()
    pids = {detail(each) for batch in ([b"pid", b"pid"], [b"pid"]) for each in decoder.decode(batch)}
    assert pids == set(map(str, children()))
    assert len(pids) == 1


@pytest.mark.parametrize(
    ("act", "place", "how"),
    [
        (b"abort", 0, "ended with signal SIGABRT"),
        (b"segfault", 7, "ended with signal SIGSEGV"),
        (b"leave", 15, "ended with exit code 3"),
        (b"raise", 8, "raised ZeroDivisionError: division by zero"),
        (b"allocate", 3, "raised MemoryError: "),
    ],
)
def test_of_sixteen_images_the_one_that_kills_its_decoder_is_refused_alone(
    make: Make, act: bytes, place: int, how: str
):
    images = [GOOD] * 16
    images[place] = act
    decoded = list(make().decode(images))
    killer = decoded.pop(place)
    assert isinstance(killer, Undecodable)
    assert killer.reason is DeadReason.CRASH_LOOP
    assert killer.detail == f"{CRASH_LOOP_DEATHS} decoder processes died of it: the last one {how}"
    assert killer.exception == "ExaminerDied"
    assert all(np.array_equal(each, decode(GOOD)) for each in decoded)


def test_an_image_that_hangs_its_decoder_is_refused_and_the_next_one_is_decoded(make: Make):
    hung, good = make(image_seconds=2.0).decode([b"hang", GOOD])
    assert "did not finish in 2 s and was killed" in detail(hung)
    assert isinstance(good, np.ndarray)


@pytest.mark.parametrize(
    "claim", [b"1, 4097, 4096", b"1, 0, 7", b"2, 2000000000, 0", b"2, 9, 0", b"7, 1, 1", b"0, 0, 0"]
)
def test_a_child_that_answers_what_no_decoder_answers_is_not_believed(make: Make, claim: bytes):
    lied, good = make().decode([b"lie " + claim, GOOD])
    assert isinstance(lied, Undecodable)
    assert lied.reason is DeadReason.CRASH_LOOP
    assert "what no decoder answers" in lied.detail
    assert isinstance(good, np.ndarray)


def test_a_child_that_stops_in_the_middle_of_its_answer_is_killed(make: Make):
    short, good = make(image_seconds=2.0).decode([b"lie 1, 10, 10", GOOD])
    assert "did not finish" in detail(short)
    assert isinstance(good, np.ndarray)


def test_a_child_that_was_killed_between_two_batches_is_replaced_and_no_image_blamed(make: Make):
    decoder = make()
    [before] = decoder.decode([b"pid"])
    os.kill(int(detail(before)), signal.SIGKILL)
    until(lambda: gone(int(detail(before))), "the child is gone")
    [after] = decoder.decode([b"pid"])
    assert detail(after) != detail(before)


@pytest.mark.parametrize(
    ("toy", "says"),
    [
        ("pressed", "its successor, over an image known to be good, ended with signal SIGABRT"),
        ("odd", "its successor, over an image known to be good, said: the good image is refused"),
        ("missing", "while it started"),
    ],
)
def test_where_the_good_image_fails_too_no_image_is_blamed(make: Make, toy: str, says: str):
    decoder = make(toy)
    for _ in range(2):
        with pytest.raises(DependencyUnavailable, match=says) as caught:
            list(decoder.decode([b"innocent"]))
        assert caught.value.dependency == "examiner"


def test_where_no_child_takes_an_image_none_is_blamed_and_there_is_an_end(make: Make):
    # More than any socket holds: it cannot be handed to a child that is gone.
    with pytest.raises(DependencyUnavailable, match="3 decoder processes ended before they had taken an image"):
        list(make("toy_that_leaves:toy").decode([bytes(8_000_000)]))
    assert children() == []


@pytest.mark.parametrize("reason", [b"no-reason", b"not-json"])
def test_a_reason_that_no_decoder_has_is_not_believed(make: Make, reason: bytes):
    [refused] = make().decode([b"judge " + reason])
    assert "answered what no decoder answers" in detail(refused)
    assert isinstance(refused, Undecodable)
    assert refused.reason == "crash-loop"


def test_a_child_that_does_not_start_in_time_is_killed_and_waited_for(make: Make):
    decoder = make(start_seconds=0.0)
    with pytest.raises(DependencyUnavailable, match="did not start in 0 s"):
        list(decoder.decode([GOOD]))
    assert children() == []


def test_the_child_can_write_no_file_has_little_memory_and_knows_no_secret(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("LIKENESS_MILVUS_TOKEN", "a secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another one")
    written, told = make(memory_bytes=1 << 30).decode([b"write", b"told"])
    assert detail(written) == "OSError"
    assert not (tmp_path / "written").exists() or (tmp_path / "written").read_bytes() == b""
    found = eval(detail(told))  # noqa: S307 - what the toy itself wrote
    assert found["limits"] == [1 << 30, 0, 16, 0]
    assert not [name for name in found["environment"] if "LIKENESS" in name or "AWS" in name]


def test_the_child_has_pillow_and_numpy_in_it_and_nothing_of_the_road(make: Make):
    [loaded] = make().decode([b"modules"])
    assert {"PIL", "numpy"} <= set(detail(loaded).split())
    assert not {"pydantic", "torch", "aiokafka", "sqlalchemy", "streams.events"} & set(detail(loaded).split())


def test_closing_it_ends_a_child_that_is_decoding_and_blames_no_image(make: Make):
    decoder = make()
    decoder.start()
    with ThreadPoolExecutor(1) as elsewhere:
        hung = elsewhere.submit(lambda: list(decoder.decode([b"pid", b"hang"])))
        [child] = children()
        decoder.interrupt()
        with pytest.raises(DependencyUnavailable, match="closed"):
            hung.result(30)
    decoder.close()
    assert gone(child)
    with pytest.raises(DependencyUnavailable, match="closed"):
        list(decoder.decode([GOOD]))


HANGING_PARENT = """
from streams.adapters.images.decoder import DecoderProcess

decoder = DecoderProcess("toy_decoders:toy")
for each in decoder.decode([b"pid", b"hang"]):
    print(each.detail, flush=True)
"""


@pytest.mark.usefixtures("make")
def test_a_child_ends_with_a_parent_that_is_killed_in_mid_image(tmp_path: Path):
    (tmp_path / "parent.py").write_text(HANGING_PARENT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    start = partial(subprocess.Popen, [sys.executable, str(tmp_path / "parent.py")])
    with start(stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert not gone(child)
        parent.kill()
        until(lambda: gone(child), "the child has followed its parent")


def test_two_decoders_in_two_threads_do_not_meet(make: Make):
    found: dict[int, list[str]] = {}

    def decode_all(number: int, decoder: DecoderProcess) -> None:
        found[number] = [detail(each) for each in decoder.decode([b"pid"] * 20)]

    threads = [threading.Thread(target=decode_all, args=(number, make())) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(set(pids)) for pids in found.values()] == [1, 1]
    assert found[0][0] != found[1][0]
