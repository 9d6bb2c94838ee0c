"""A judge like any other, but for the program of its decoder process, which dies of one picture."""

import asyncio
import logging

from streams.adapters.faces.examiner import FaceExaminer
from streams.adapters.images.decoder import DecoderProcess
from streams.cli.wiring.addresses import addressed
from streams.cli.wiring.services import open_services
from streams.runtime.patience import Patience
from streams.runtime.roles import JUDGE
from streams.runtime.worker import work
from streams.settings import read_settings


async def main() -> None:
    logging.basicConfig(level=logging.INFO)
    settings, patience = addressed(read_settings()), Patience()
    examiner = FaceExaminer(settings, report=logging.info, decoder=DecoderProcess("tests.killing_decoder:unpack"))
    await examiner.open()
    async with open_services(settings, examiner, patiently=patience) as services:
        await work(settings, services, JUDGE, patience)


if __name__ == "__main__":
    asyncio.run(main())
