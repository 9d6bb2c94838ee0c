"""Which engine runs both networks in 32-bit floats: the one that the settings name."""

from streams.adapters.engines.networks import FaceNetworks
from streams.settings import Settings
from streams.wheels import Report, silent


def load(settings: Settings, report: Report = silent) -> FaceNetworks:
    """Load both networks; blocks, for minutes where they must be fetched.

    Raises:
        BadInput, Unready, WeightsUnusable: As the engine's own ``load`` says.
    """
    # Imported here, so that a worker whose engine needs no torch needs none.
    if settings.engine == "torch":
        from streams.adapters.engines.torch_networks import load
    else:
        from streams.adapters.engines.onnx_networks import load
    return load(settings, report)
