# Every process of ours that is no generator: workers, intake, audit, one-off commands. No torch: the networks that
# onnxruntime runs are exported into the cache by the image that serves the generators.
#   docker build --file ops/docker/worker.Dockerfile --tag likeness/worker:0.1.0 .
FROM python:3.11.14-slim-bookworm AS build

# pip's own variable.
ARG PIP_INDEX_URL=""

WORKDIR /src
COPY requirements.lock ops/docker/constraints.sed ./
# The versions of the lock without its hashes, which name the files of one index and one build.
RUN sed -nEf constraints.sed requirements.lock > /constraints.txt && python -m venv /opt/likeness

COPY pyproject.toml README.md LICENSE ./
COPY streams streams
COPY generators generators
COPY triton_models triton_models
COPY ops/policies ops/policies
RUN /opt/likeness/bin/pip install --no-cache-dir --constraint /constraints.txt ".[engine,postgres,replay,s3,second]"


FROM python:3.11.14-slim-bookworm

RUN useradd --uid 1000 --create-home likeness \
    && install --directory --owner likeness --group likeness /var/cache/likeness
COPY --from=build /opt/likeness /opt/likeness

ENV PATH=/opt/likeness/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    HOME=/tmp \
    LIKENESS_CACHE_DIR=/var/cache/likeness \
    LIKENESS_DATA_DIR=/tmp/likeness

USER 1000:1000
ENTRYPOINT ["likeness"]
CMD ["--help"]
