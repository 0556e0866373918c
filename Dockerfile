# The worker, and the `canary` command line: docker run --rm durable-canary:0.1.0 canary --help
# The load tester: docker run --rm durable-canary:0.1.0 python -m sandbox loadtester --help
FROM python:3.11-slim-bookworm

RUN pip install --no-cache-dir "uv>=0.9"
WORKDIR /app
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY canary canary
COPY workflows workflows
COPY activities activities
COPY worker worker
COPY starter starter
COPY sandbox sandbox
COPY bench bench
# The lock as constraints: its versions and hashes, without the tools that only a checkout needs.
RUN uv pip install --system --system-certs --no-cache --constraints requirements.lock --editable ".[loadtester]"

RUN useradd --uid 10001 --create-home canary \
    && mkdir -p /etc/canary /var/lib/canary/reports /var/lib/canary/cache \
    && chown -R canary /var/lib/canary
USER canary
WORKDIR /var/lib/canary
ENV PYTHONUNBUFFERED=1 \
    CANARY_CLUSTERS=/etc/canary/clusters.yaml \
    CANARY_REPORTS=/var/lib/canary/reports \
    CANARY_CACHE=/var/lib/canary/cache
VOLUME /var/lib/canary
CMD ["canary-worker"]
