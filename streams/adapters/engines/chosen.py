"""Which engine runs both networks in 32-bit floats: the one that the settings name."""

from streams.adapters.engines.networks import FaceNetworks
from streams.errors import Unready
from streams.settings import Settings
from streams.wheels import Report, silent


def load(settings: Settings, report: Report = silent) -> FaceNetworks:
    """Load both networks; blocks, for minutes where they must be fetched. From then on numpy computes with one thread.

    Raises:
        BadInput, Unready, WeightsUnusable: As the engine's own ``load`` says.
    """
    _keep_numpy_to_one_thread()
    # Imported here, so that a worker whose engine needs no torch needs none.
    if settings.engine == "torch":
        from streams.adapters.engines.torch_networks import load
    else:
        from streams.adapters.engines.onnx_networks import load
    return load(settings, report)


def _keep_numpy_to_one_thread() -> None:
    """Set numpy's BLAS to one thread: after every product its others spin for a while, and two workers share two cores.

    Its products are small, of a batch of embeddings; the spinning took two fifths of a core.
    """
    try:
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise Unready(
            f"expected threadpoolctl beside the engine, got {error}; run `pip install 'likeness-qc[engine]'`"
        ) from error
    threadpool_limits(1, user_api="blas")
