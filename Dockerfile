# Footnote's image: the application with all its libraries and its embedding model; it needs no network to run.
#
#   docker build -t footnote .                                    for any processor
#   docker build -t footnote:cuda --build-arg TORCH=auto .        TORCH: cpu, or a build for NVIDIA GPUs such as cu128
#   docker build --build-arg EXTRAS=postgres .                    what pyproject.toml has beside; comma between several
#
# What changes rarely comes first: another version of Footnote replaces the last layers only, some megabytes.

ARG PYTHON_IMAGE=python:3.11-slim-bookworm

# -------------------------------------------------------------------------------------------------------------- extras
FROM ${PYTHON_IMAGE} AS extras
ARG EXTRAS=postgres,ocr
WORKDIR /build
COPY pyproject.toml deploy/extras.py ./
RUN python3 extras.py "${EXTRAS}" > extras.txt

# ----------------------------------------------------------------------------------------------------------- libraries
FROM ${PYTHON_IMAGE} AS libraries
ARG UV_VERSION=0.13.8
ARG TORCH=cpu
ENV UV_LINK_MODE=copy UV_NO_CACHE=1 UV_PYTHON_DOWNLOADS=never

WORKDIR /build
RUN python3 -m venv tools \
    && tools/bin/pip install --quiet --no-cache-dir --disable-pip-version-check uv==${UV_VERSION} \
    && tools/bin/uv venv --quiet --python python3 /app/.venv

COPY requirements.lock requirements-extras.lock deploy/install_libraries.sh ./
COPY --from=extras /build/extras.txt ./
RUN ./install_libraries.sh tools/bin/uv "${TORCH}"

# ------------------------------------------------------------------------------------------------------- Footnote itself
FROM libraries AS footnote
COPY README.md LICENSE pyproject.toml ./
COPY ingest ingest
COPY rag rag
RUN tools/bin/uv pip install --quiet --python /app/.venv --no-deps --compile-bytecode --target /app/footnote .

# --------------------------------------------------------------------------------------------------------------- runtime
FROM ${PYTHON_IMAGE}
# a number, so that it can be seen from outside that this is not root
RUN useradd --uid 10001 --user-group --no-log-init --no-create-home --home-dir /tmp footnote \
    && install -d -o footnote -g footnote -m 0700 /var/lib/footnote /backups
COPY --from=libraries /app/.venv /app/.venv
COPY --from=footnote /app/footnote /app/footnote
COPY app.py /app/

# The root file system may be read-only: what lasts goes to the volume, what does not to /tmp.
ENV PATH=/app/footnote/bin:/app/.venv/bin:${PATH} \
    PYTHONPATH=/app/footnote \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    HF_HOME=/var/lib/footnote/models \
    RAG_STORAGE__DIR=/var/lib/footnote \
    RAG_SERVER__HOST=0.0.0.0 \
    RAG_SERVER__PORT=8000
WORKDIR /app
USER 10001:10001
VOLUME /var/lib/footnote
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.build_opener(u.ProxyHandler({})).open('http://127.0.0.1:' + os.environ['RAG_SERVER__PORT'] + '/healthz', timeout=4)"]
CMD ["python", "app.py"]

ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="Footnote" \
      org.opencontainers.image.description="Chat with your own documents on your own hardware" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
