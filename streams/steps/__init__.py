"""The road of a sample: ``generate``, then ``judge``. Plain async functions over ``Services``.

Both take a batch of messages as they were read and return what is to be published. They may be run again with the same
batch at any time: what was decided stays decided, and comes back byte for byte.

Behind the road is ``monitor``, which makes charts of the verdicts, over services of its own.

Before the road is ``intake``, which takes requests and not messages, and over the ledger and a courier alone; the
others here are parts that these share.
"""

from streams.steps.ends import Effects
from streams.steps.generate import generate
from streams.steps.judge import judge
from streams.steps.monitor import monitor

__all__ = ["Effects", "generate", "judge", "monitor"]
