"""The road of a sample: ``generate``, then ``judge``. Plain async functions over ``Services``.

A step takes a batch of messages as they were read and returns what is to be published. It may be run again with the
same batch at any time: what was decided stays decided, and comes back byte for byte.
"""

from streams.steps.ends import Effects
from streams.steps.generate import generate
from streams.steps.judge import judge

__all__ = ["Effects", "generate", "judge"]
