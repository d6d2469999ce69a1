# InceptionLens in a container: made for a read-only root file system, run by a user who is not root.
#   docker build -t inception-lens .
#   docker run --read-only --tmpfs /tmp --mount type=volume,source=lens,target=/data -p 7860:7860 inception-lens
FROM python:3.12-slim

# Everything that is written goes to /data (weights that are fetched) or /tmp (uploads, by default for about an hour).
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    HOME=/data \
    XDG_CACHE_HOME=/data/cache \
    HF_HOME=/data/huggingface \
    TORCH_HOME=/data/torch \
    MPLCONFIGDIR=/tmp/matplotlib \
    GRADIO_TEMP_DIR=/tmp/gradio \
    GRADIO_ANALYTICS_ENABLED=False \
    GRADIO_SERVER_NAME=0.0.0.0 \
    GRADIO_SERVER_PORT=7860

RUN groupadd --gid 10001 lens \
    && useradd --uid 10001 --gid lens --home-dir /data --shell /usr/sbin/nologin lens \
    && install --directory --owner=lens --group=lens /data

WORKDIR /app
# Alone and first: the libraries take minutes and gigabytes, and change less often than the rest.
# For a machine without a GPU: --build-arg TORCH=ADDRESS, that of the index that PyTorch has for CPUs.
ARG TORCH=""
COPY requirements.txt requirements-mcp.txt ./
RUN python -m pip install ${TORCH:+--extra-index-url "$TORCH"} -r requirements.txt -r requirements-mcp.txt

COPY README.md CHANGELOG.md LICENSE app.py ./
COPY weights ./weights
COPY examples ./examples
COPY inception ./inception

USER 10001:10001
VOLUME ["/data"]
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "-c", "from os import environ; from urllib.request import urlopen; urlopen('http://127.0.0.1:' + environ['GRADIO_SERVER_PORT'] + '/healthz', timeout=8).read()"]
ENTRYPOINT ["python", "app.py"]
CMD ["--mcp"]
