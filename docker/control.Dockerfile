# The image of the steps resolve, promote and notify, and of follow, which serving uses: no TensorFlow.  `make images`
# builds it.

# An image with Python 3.11 to 3.13, its pip and venv.  Append @sha256:<digest> for a build that can be repeated exactly.
ARG BASE_IMAGE=python:3.12-slim-bookworm

FROM ${BASE_IMAGE} AS build
# A mirror of the package index; this stage's arguments leave no trace in the image.
ARG PIP_INDEX_URL
WORKDIR /build
RUN python3 -m venv /opt/venv
COPY docker/control.lock ./
RUN /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --no-deps -r control.lock
# The installer: nothing is installed in a container.
RUN /opt/venv/bin/pip uninstall --yes --quiet pip
COPY LICENSE /opt/hopline/
COPY hopline /opt/hopline/hopline
COPY components/__init__.py components/__main__.py components/images.py components/steps.py /opt/hopline/components/
COPY components/follow /opt/hopline/components/follow
COPY components/resolve /opt/hopline/components/resolve
COPY components/promote /opt/hopline/components/promote
COPY components/notify /opt/hopline/components/notify
RUN python3 -m compileall -q /opt/hopline

FROM ${BASE_IMAGE}
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin hopline \
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} +
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/hopline /opt/hopline
ENV PATH=/opt/venv/bin:${PATH} \
    PYTHONPATH=/opt/hopline \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp
ARG VERSION
ARG REVISION
ENV HOPLINE_GIT_REVISION=${REVISION}
LABEL org.opencontainers.image.title="hopline-control" \
    org.opencontainers.image.description="Finds what there is to train, and makes a better model the champion" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}" \
    org.opencontainers.image.licenses="Apache-2.0"
USER 10001:10001
WORKDIR /tmp
ENTRYPOINT ["python3", "-m", "components"]
CMD ["--help"]
