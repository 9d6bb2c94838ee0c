"""What takes long is done beside the event loop: where the loop stands still, what waits for it would wait for ever."""

import asyncio
import importlib.util
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from streams.adapters.faces.examiner import FaceExaminer
from streams.adapters.images.decoder import DecoderProcess
from streams.adapters.images.store import ImageStore
from streams.core.faces import Pixels, Sighting, Undecodable
from streams.errors import WeightsUnusable
from streams.settings import Settings
from tests.absent import absent

FACE = (Path(__file__).parent / "faces" / "anna-1.png").read_bytes()
SECONDS = 30.0


class WaitingDecoder(DecoderProcess):
    """Decodes once the event loop has turned, which it must be free to do."""

    def __init__(self, turned: threading.Event) -> None:
        super().__init__()
        self._turned = turned
        self.waits = False
        self.began = threading.Event()

    def decode(self, encoded: Iterable[bytes]) -> Iterator[Pixels | Undecodable]:
        if self.waits:
            self.began.set()
            assert self._turned.wait(SECONDS), "the event loop stands still while images are examined"
        return super().decode(encoded)


async def test_the_event_loop_turns_while_a_batch_is_examined():
    if importlib.util.find_spec("onnxruntime") is None:
        absent("onnxruntime is not installed: pip install 'likeness-qc[engine]'")
    turned = threading.Event()
    decoder = WaitingDecoder(turned)
    examiner = FaceExaminer(Settings(), decoder=decoder)
    try:
        await examiner.open()
        decoder.waits = True
        examining = asyncio.create_task(examiner.examine([FACE]))
        assert await asyncio.to_thread(decoder.began.wait, SECONDS)
        turned.set()
        [seen] = await examining
    except WeightsUnusable as error:
        absent(str(error))
    finally:
        await examiner.close()
    assert isinstance(seen, Sighting)
    assert seen.faces == 1


async def test_no_image_is_read_or_written_by_the_event_loop_itself(tmp_path):
    threads: list[int] = []
    noting = True

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if noting and event in ("open", "os.rename") and str(arguments[0]).startswith(str(tmp_path)):
            threads.append(threading.get_ident())

    sys.addaudithook(note)  # it stays for as long as the process, and notes nothing from below on
    store = ImageStore(str(tmp_path / "images"))
    await store.open(create=True)
    ref = await store.put(FACE)
    assert await store.get(ref) == FACE
    noting = False
    assert threads
    assert threading.get_ident() not in threads
