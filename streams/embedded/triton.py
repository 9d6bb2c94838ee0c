"""NVIDIA Triton as a child process: the server binary of nvidia-pytriton on our own model repository.

Only gRPC on the loopback address is open: the binary is older than the fixes of Triton's HTTP front end.
"""

import contextlib
import hashlib
import importlib.util
import os
import shutil
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import tritonclient.grpc.aio as grpc_client
from tritonclient.utils import InferenceServerException

from streams.embedded import folder
from streams.embedded.loopback import HOST, connects, free_ports
from streams.errors import BadInput, DependencyUnavailable, Unready
from streams.processes.child import Child

REMEDY = "see what its log says of the models, or set LIKENESS_TRITON to a server that runs"

_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"

#: Where Linux keeps the shared memory that the server and its Python processes exchange tensors through.
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - only looked at for regions with our own prefix


@dataclass(frozen=True)
class Plan:
    """One server that is about to start."""

    models: Path
    home: Path
    """A folder of our own for the backend and the Python environment; made anew at every start."""
    cache_dir: Path
    port: int
    served: Sequence[str] | None = None
    """Names of the models that are served; None: all."""

    @property
    def address(self) -> str:
        """Where clients find it."""
        return f"{HOST}:{self.port}"

    @property
    def repository(self) -> Path:
        """The server's model repository: all models, or links to those that are served.

        The server could also be told which to load; it would then load whatever any client sends it, too.
        """
        return self.models if self.served is None else self.home / "models"

    @property
    def shared_memory_prefix(self) -> str:
        """Names this folder's shared memory, so that what a killed server leaves can be found again."""
        return f"likeness_{hashlib.sha256(str(self.home).encode()).hexdigest()[:12]}_"


def plan(data_dir: Path, cache_dir: Path, models: Path, served: Sequence[str] | None = None) -> Plan:
    """Choose a port."""
    (port,) = free_ports(1)
    return Plan(models.absolute(), data_dir.absolute() / "triton", cache_dir.absolute(), port, served)


def prepare(plan: Plan) -> None:
    """Lay out the backend and the Python environment that the models run in; blocks."""
    server = _package() / "tritonserver"
    stub = server / "python_backend_stubs" / _PYTHON / "triton_python_backend_stub"
    if not stub.exists():
        raise Unready(f"nvidia-pytriton has no backend for Python {_PYTHON}: use Python 3.11 or 3.12")
    there = sorted(config.parent.name for config in plan.models.glob("*/config.pbtxt"))
    if not there:
        raise Unready(f"expected served models in {plan.models}, found none: install the package again")
    if unknown := sorted(set(plan.served or ()) - set(there)):
        raise BadInput(f"expected models among {', '.join(there)}, got {', '.join(unknown)}: set LIKENESS_MODELS")
    with folder.writable(plan.home):
        shutil.rmtree(plan.home, ignore_errors=True)
        backend = plan.home / "backends" / "python"
        # The server looks for the stub beside the backend, where the package does not put it.
        shutil.copytree(server / "backends" / "python", backend, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy2(stub, backend)
        _write_environment(plan.home / "python")
        if plan.served is not None:
            plan.repository.mkdir()
            for name in plan.served:
                (plan.repository / name).symlink_to(plan.models / name)
    clean(plan)


def start(plan: Plan, log_path: Path, hold: Sequence[int] = ()) -> Child:
    """Start the server."""
    return Child.start("Triton", command(plan), environment(plan), log_path, grace=15.0, hold=hold)


def clean(plan: Plan) -> None:
    """Delete the shared memory that a killed server of the same data folder left."""
    for region in _SHARED_MEMORY.glob(plan.shared_memory_prefix + "*"):
        with contextlib.suppress(FileNotFoundError):
            region.unlink()


def stubs(child: Child) -> list[psutil.Process]:
    """Return the processes in which a server that is ready runs its models; it starts none of them again."""
    server = child.command_pid
    if server is None:
        return []
    try:
        return psutil.Process(server).children()
    except psutil.NoSuchProcess:  # whoever watches the server sees that too
        return []


async def answers(address: str, timeout_seconds: float = 10.0) -> None:
    """Return when the server and all its models are ready. Raises DependencyUnavailable."""
    await connects("triton", address, timeout_seconds)
    async with grpc_client.InferenceServerClient(address) as client:
        try:
            ready = await client.is_server_ready(client_timeout=timeout_seconds)
        except InferenceServerException as error:
            raise DependencyUnavailable("triton", f"{address}: {error.message()}") from error
    if not ready:
        raise DependencyUnavailable("triton", f"{address}: not all models are ready")


def command(plan: Plan) -> list[str]:
    """Return what starts the server."""
    options = {
        "model-repository": plan.repository,
        "backend-directory": plan.home / "backends",
        "backend-config": f"python,shm-region-prefix-name={plan.shared_memory_prefix}",
        "model-control-mode": "none",
        "disable-auto-complete-config": None,
        "allow-grpc": "true",
        "grpc-address": HOST,
        "grpc-port": plan.port,
        "allow-http": "false",
        "allow-metrics": "false",
        "allow-sagemaker": "false",
        "allow-vertex-ai": "false",
        "exit-timeout-secs": 5,
        "log-info": "false",
    }
    binary = _package() / "tritonserver" / "bin" / "tritonserver"
    return [str(binary), *(f"--{name}" if value is None else f"--{name}={value}" for name, value in options.items())]


def environment(plan: Plan) -> Mapping[str, str]:
    """Return the environment of the server and of the models in it."""
    libraries = [_package().parent / "nvidia_pytriton.libs", *_libpython_folders()]
    return {
        **os.environ,
        "LD_LIBRARY_PATH": os.pathsep.join([*map(str, libraries), *_path_of("LD_LIBRARY_PATH")]),
        # The backend's interpreter ignores PYTHONPATH; it takes its packages from the first python3 on PATH.
        "PATH": os.pathsep.join([str(plan.home / "python" / "bin"), *_path_of("PATH")]),
        "LIKENESS_CACHE_DIR": str(plan.cache_dir),
        # One request at a time: more threads than that only take cores from the workers.
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",  # waiting threads that spin starve the worker beside them
    }


def _write_environment(home: Path) -> None:
    """Write a virtual environment that sees every package that this interpreter sees."""
    base = Path(sys.base_prefix) / "bin"
    interpreter = next(
        path for path in (base / f"python{_PYTHON}", base / "python3", Path(sys.executable)) if path.exists()
    )
    packages = home / "lib" / f"python{_PYTHON}" / "site-packages"
    packages.mkdir(parents=True)
    (home / "bin").mkdir()
    (home / "bin" / "python3").symlink_to(interpreter)
    (home / "pyvenv.cfg").write_text(f"home = {interpreter.parent}\ninclude-system-site-packages = false\n")
    here = Path(__file__).parents[2]  # the folder of the package `streams`, which need not be installed
    folders = dict.fromkeys([str(here), *(str(Path(entry).absolute()) for entry in sys.path if entry)])
    # addsitedir follows the .pth files in a folder, which is how editable installs are found.
    lines = [f"import site; site.addsitedir({entry!r})" for entry in folders if Path(entry).is_dir()]
    (packages / "likeness.pth").write_text("\n".join(lines) + "\n")


def _libpython_folders() -> list[str]:
    name = f"libpython{_PYTHON}.so.1.0"
    candidates = dict.fromkeys([str(sysconfig.get_config_var("LIBDIR")), f"{sys.base_prefix}/lib"])
    return [candidate for candidate in candidates if (Path(candidate) / name).exists()]


def _path_of(variable: str) -> list[str]:
    value = os.environ.get(variable)
    return [value] if value else []


def _package() -> Path:
    found = importlib.util.find_spec("pytriton")
    if found is None or found.origin is None:
        raise Unready("nvidia-pytriton is not installed: `pip install 'likeness-qc[embedded]'`")
    return Path(found.origin).parent
