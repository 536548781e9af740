# The image (docs/container.md). Both bases have the same Python in the same place: one to compile
# with, and a slim one to run.
ARG BUILDER=docker.io/library/python:3.13.18-bookworm
ARG BASE=docker.io/library/python:3.13.18-slim-bookworm

# hadolint ignore=DL3006  # the tag is in the argument
FROM ${BUILDER} AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN python3 -m venv /build && python3 -m venv --without-pip /opt/eventhub

# Only packages in the lock files are installed, with their hashes. Only our own extension is
# compiled (nkeys is plain Python).
COPY requirements/image.txt requirements/build.txt requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    /build/bin/pip install --quiet --require-hashes --only-binary :all: -r requirements/build.txt \
    && /build/bin/pip wheel --quiet --require-hashes --no-build-isolation --only-binary :all: --no-binary nkeys \
       --wheel-dir /wheels -r requirements/image.txt

COPY . .
RUN /build/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheels . \
    && ls /wheels/eventhub_server-*-cp311-abi3-*.whl \
    && /build/bin/pip --python /opt/eventhub/bin/python3 install --quiet --no-index --no-deps --no-compile /wheels/*.whl \
    # bytecode is compiled here, because the file system is read-only at run time; it is never
    # compared with the sources, which do not change
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/eventhub/lib \
    && install -D -m 644 deploy/sbom.cdx.json /opt/eventhub/share/doc/eventhub/sbom.cdx.json

# hadolint ignore=DL3006
FROM ${BASE}
LABEL org.opencontainers.image.title="EventHub" \
      org.opencontainers.image.description="Real-time event broadcast over typed channels" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=builder /opt/eventhub /opt/eventhub
ENV PATH=/opt/eventhub/bin:$PATH PYTHONUNBUFFERED=1 EVENTHUB_CONFIG=/etc/eventhub/eventhub.yaml EVENTHUB_HOST=0.0.0.0
# No pip. A directory for SQLite, which a platform's random user of group 0 can write, too. The first
# start writes the bytecode of the standard library, which the slim base lacks, and shows that
# everything is there.
RUN rm -rf /usr/local/bin/pip* /usr/local/lib/python3.*/site-packages/pip* /usr/local/lib/python3.*/ensurepip \
    && mkdir -p /etc/eventhub && echo "# Mount your own over this: docs/container.md" > "$EVENTHUB_CONFIG" \
    && install -d -m 770 -o 65532 -g 0 /var/lib/eventhub \
    && EVENTHUB_INSECURE=true eventhub check
ENV PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
WORKDIR /var/lib/eventhub
EXPOSE 8000
STOPSIGNAL SIGTERM
ENTRYPOINT ["eventhub"]
CMD ["serve"]
