"""What is needed from the outside, in our own words: ports, which adapters and stand-ins implement.

A port is a protocol. The steps and the tools are given one and know no library behind it; which adapter it is, the
composition root alone knows. ``Services`` and ``Monitoring`` are those that the road is given.

Every coroutine may raise ``DependencyUnavailable``, but for ``Courier``, which never does; nothing else is transient.
No method blocks the event loop.

=============  =====================================================================
``making``     the served generators
``examining``  faces, embeddings, looks and imprints of pictures
``gallery``    who is enrolled
``originals``  what no sample may be a copy of
``images``     the image store
``ledger``     what was registered and decided, and dead letters that are taken back
``consent``    who agreed to what
``erasure``    how somebody is forgotten
``courier``    how requests reach the workers
``books``      what is kept for charts and clips
``services``   what each part of the road is given
=============  =====================================================================
"""

from streams.ports.books import ChartBook, ClipBook
from streams.ports.consent import Agreed, ConsentRegister
from streams.ports.courier import Courier
from streams.ports.erasure import Erasures, Vectors
from streams.ports.examining import Describer, Examiner, Imprinter, TwofoldExaminer
from streams.ports.gallery import Gallery, Searched
from streams.ports.images import Images
from streams.ports.ledger import Ledger, Redrives
from streams.ports.making import Generator, Prompt
from streams.ports.originals import Compared, Originals
from streams.ports.services import Appraising, Clock, Monitoring, SecondVerifier, Services, each_port

__all__ = [
    "Agreed",
    "Appraising",
    "ChartBook",
    "ClipBook",
    "Clock",
    "Compared",
    "ConsentRegister",
    "Courier",
    "Describer",
    "Erasures",
    "Examiner",
    "Gallery",
    "Generator",
    "Images",
    "Imprinter",
    "Ledger",
    "Monitoring",
    "Originals",
    "Prompt",
    "Redrives",
    "Searched",
    "SecondVerifier",
    "Services",
    "TwofoldExaminer",
    "Vectors",
    "each_port",
]
