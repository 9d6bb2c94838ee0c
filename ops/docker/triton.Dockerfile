# Triton with what the served models run on: torch, safetensors, and the packages `generators` and `streams`.
# The models themselves are mounted.
#   docker build --file ops/docker/triton.Dockerfile --build-arg NVIDIA_REGISTRY=… --tag likeness/triton:0.1.0 .
# The host of NVIDIA's container registry.
ARG NVIDIA_REGISTRY
FROM ${NVIDIA_REGISTRY}/nvidia/tritonserver:25.10-py3 AS build

# pip's own variables; an extra index with torch's CPU build saves some gigabytes of CUDA libraries.
ARG PIP_INDEX_URL=""
ARG PIP_EXTRA_INDEX_URL=""

WORKDIR /src
COPY requirements.lock ops/docker/constraints.sed ./
# The versions of the lock without its hashes, which name the files of one index and one build.
RUN sed -nEf constraints.sed requirements.lock > /constraints.txt

COPY pyproject.toml README.md LICENSE ./
COPY streams streams
COPY generators generators
COPY triton_models triton_models
COPY ops/policies ops/policies
RUN python3 -m pip install --no-cache-dir --constraint /constraints.txt --target /opt/likeness ".[faces]"


FROM ${NVIDIA_REGISTRY}/nvidia/tritonserver:25.10-py3

COPY --from=build /opt/likeness /opt/likeness

# A folder of its own before the image's packages: the server's Python keeps what it came with.
ENV PYTHONPATH=/opt/likeness \
    PYTHONDONTWRITEBYTECODE=1 \
    LIKENESS_CACHE_DIR=/var/cache/likeness

# The image's user triton-server.
USER 1000:1000
